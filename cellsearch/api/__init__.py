"""The program from Python: the commands, with values instead of text.

search     `cs.search`, `cs.leaderboard`
board      a leaderboard: rows, a table in a notebook, a DataFrame
train      `cs.train`
verify     `cs.verify`
compare    `cs.compare`
cells      `cs.mutate`
progress   progress in notebooks
"""
