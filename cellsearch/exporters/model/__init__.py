"""A trained model as a folder that works without cellsearch.

source   model.py: the network, which imports only torch and loads its weights
card     README.md: the model, its scores, its training, its citation
folder   all files, checked against the trained rows, and written atomically
"""
