"""What training needs of a machine.

devices   cpu, cuda:0, …, or the reason why one cannot be used
threads   one for each process
memory    bytes at the peak, before training
pace      seconds of an epoch, measured on a few windows
cost      parameters, width and multiply-adds of a model
"""
