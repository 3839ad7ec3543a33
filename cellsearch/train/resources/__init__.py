"""Resources of a machine for training.

devices   cpu, cuda:0, …, or the reason that one is unusable
threads   one for each process
memory    predicted peak memory
pace      seconds of an epoch, measured on a few windows
cost      parameters, width and multiply-adds of a model
"""
