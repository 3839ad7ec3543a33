"""Scores of cells from their stages: pure functions.

ranking  the score of the paper, passed stages, the order of the leaderboard
fronts   Pareto fronts of score and cost
"""
