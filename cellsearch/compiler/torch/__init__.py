"""A cell as a module of PyTorch.

recurrent        Recurrent, called like torch.nn.LSTM
sequences        its input: a tensor or a PackedSequence
states           its states, in the convention of torch.nn.LSTM
layer_function   one layer in one direction as plain tensors
autograd         the same for autograd
custom_op        the same for torch.compile
"""
