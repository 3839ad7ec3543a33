"""The arguments of each verb: functions that add them to its parser.

common     arguments of several verbs
searches   verbs about searches
cells      verbs about cells, tasks and spaces
"""
