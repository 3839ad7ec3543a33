"""The training of a model that is kept: one setting, several seeds as one population.

safetensors  tensors by name as bytes, and back
checkpoint   a training as a file, from which it goes on bit for bit
fit          a job -> scores of each seed on the validation and the test part, and the best weights
"""
