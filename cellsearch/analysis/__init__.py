"""Measurements on cells: speed, confidence, importance of parts."""
