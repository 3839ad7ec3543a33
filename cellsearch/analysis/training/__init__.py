"""A cell, found or given, as a trained model in a folder.

plan     cell, task, setting, sizes -> jobs, and the record to reproduce
facts    the facts of a trained model, as the values of config.json
model    trains a plan, with checkpoints, and writes the folder
api      cs.train
"""
