"""Training: a cell on a batch of settings of one task, grouped into populations by shape.

    settings    Setting, Grid of all settings, Training (the schedule's numbers)
    outcome     the outcome of training one setting
    evaluate    cell, data set, settings -> outcomes
    grouping    batches of settings of one shape that fit in memory; cohorts that share a device
    population  members of one shape, advanced by epochs (halving: the settings that continue)
    steps       a training step or a validation step per window
    schedule    learning rates per member
    model       embedding, a stack of one cell, output layer: the weights of a member are one row
    output      the output layer
    windows     windows of a sequence
    resources   devices, threads, memory, speed and cost

`settings`, `outcome` and `resources.cost` are read without torch.
"""
