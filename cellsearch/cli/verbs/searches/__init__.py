"""Verbs on a search."""
