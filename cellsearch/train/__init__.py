"""Training: a cell on a batch of settings of one task, as few populations as there are shapes.

    settings    Setting, Grid of all settings, Training (the schedule's numbers)
    outcome     what training one setting gave
    evaluate    cell, data set, settings -> outcomes
    grouping    settings of one shape become batches that fit the memory; cohorts share a device
    population  members of one shape, advanced by epochs (halving: which settings go on)
    steps       a training step, or a look at the validation part, for each window
    schedule    learning rates, each member's own
    model       embedding, a stack of one cell, output layer: the weights of a member are one row
    output      the output layer
    windows     what a population sees at a time
    resources   devices, threads, memory, speed and cost

`settings`, `outcome` and `resources.cost` are read without torch.
"""
