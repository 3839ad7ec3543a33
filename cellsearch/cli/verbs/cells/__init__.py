"""Verbs on cells."""
