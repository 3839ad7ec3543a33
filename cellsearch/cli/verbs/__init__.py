"""A module for each verb, or for several that belong together; `cli.table` names it.

Each has a function `run_<verb>(args, terminal) -> exit code`.
"""
