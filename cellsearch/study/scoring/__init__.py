"""How good cells are, from their stages: pure functions.

ranking  the score of the paper, what a cell has passed, the order of the leaderboard
fronts   Pareto fronts of score and cost
"""
