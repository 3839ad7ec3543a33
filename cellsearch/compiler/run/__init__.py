"""A plan with sizes and tensors.

layout       offsets of weights in a member's flat row, by name
structures   matrix structures, and initial values
buffers      the tape, and the tensors of all values and gradients of a layer
order        members all together, or one by one
vectors      gradients of weights outside matrices
layer        one layer of a population, forward and backward
stack        layers on top of each other
kept         results cached on the plan or layout that owns them
"""
