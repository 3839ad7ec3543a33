"""The measured cost estimate of a search: `search --dry-run`.

forecast    the stages of a space with time and memory
measuring   a stage, timed
spans       times as a middle value with a range
"""
