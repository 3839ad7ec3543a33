"""A trained model as a folder that works without cellsearch.

source   model.py: the network, which imports torch alone and loads its weights
card     README.md: what the model is, its scores, how it was made, how to cite it
folder   all files, checked against the trained rows, and written whole or not at all
"""
