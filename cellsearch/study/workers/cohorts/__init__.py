"""Several trials at once in one worker.

rounds    the trials of a cohort, stage by stage, in an order that depends only on records
training  the stages of a round, alone or side by side, each within its time limit
sizes     number of trials that fill a device
"""
