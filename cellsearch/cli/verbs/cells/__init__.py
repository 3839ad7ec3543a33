"""Verbs on one cell, or on the cells there are."""
