"""The verbs: each module has rows in `VERBS`, with arguments and the function that runs them.

`cli.table` reads all modules below this folder, so that a new verb is a new file. Every command imports all
of them: a module imports at its top only the modules that its arguments need, and the others inside `run`.
Code of more than a page is in `cli.actions`.
"""
