"""Which settings train at once.

batch         members that are trained at once, and a smaller batch where memory runs out
cohort        populations of different cells or shapes that take turns on a device
side_by_side  trainings of a cohort, each of which may fail; fewer at once where memory runs out
blocks        members that walk through a window at once, so that their tapes fit the cache
stacked       windows of one size in one tensor, for a step that is recorded once
"""
