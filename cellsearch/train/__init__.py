"""Training: a cell on a batch of settings of one task, as few populations as there are shapes.

    settings    Setting, Grid of all settings, Training (the schedule's numbers)
    cost        parameters, width and multiply-adds of a model
    schedule    learning rates, each member's own
    model       embedding, a stack of one cell, output layer: the weights of a member are one row
    windows     what a population sees at a time; output: the output layer
    evaluate    the loop: cell, data set, settings -> outcomes
    outcome     what one setting came to
    threads     how many threads a search trains with

`settings`, `cost` and `outcome` are read without torch.
"""
