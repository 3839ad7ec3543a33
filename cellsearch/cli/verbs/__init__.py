"""The verbs: each module has the rows of one or several in `VERBS`, with their arguments and what runs them.

`cli.table` reads the modules of this folder and of those in it, so that a new verb is a new file. All of
them are imported with every command: a module imports at its top what arguments need, and inside `run` what
the work needs.
Work of more than a page is in `cli.actions`.
"""
