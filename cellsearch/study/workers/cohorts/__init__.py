"""A worker that has several trials at once.

walk      what the work on a trial consists of: stages to be trained, and places where a cohort waits
rounds    the trials of a cohort, stage by stage, in an order that depends on records alone
training  the stages of a round, one alone or side by side, each within its time
sizes     how many trials fill a device
"""
