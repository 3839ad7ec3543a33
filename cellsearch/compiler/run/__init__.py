"""A plan with sizes and tensors.

layout       where each weight lies in a member's flat row, by name
structures   structures of matrices, and first values
buffers      the tape, and where every value and gradient of a layer lies
order        members all at once, or one by one
vectors      gradients of the weights that stand alone
layer        one layer of a population, forward and backward
stack        layers on top of each other
kept         results cached on the plan or layout that owns them
"""
