"""Grouping of settings that train at once.

batch         members trained at once, with smaller batches after running out of memory
cohort        populations of different cells or shapes that take turns on a device
side_by_side  trainings of a cohort that fail independently; fewer at once after running out of memory
blocks        members that process a window at once, so that their tapes fit the cache
stacked       windows of one size in one tensor, for a step that is recorded once
"""
