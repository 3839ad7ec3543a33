"""Training of a final model: one setting, several seeds as one population.

safetensors  tensors by name as bytes, and back
checkpoint   a training as a file, resumed bit for bit
fit          a job -> scores of each seed on the validation and the test part, and the best weights
"""
