"""Presentation of cells and searches: tables, drawings, messages.

columns      tables for a terminal, CSV and Markdown
formatting   durations, counts and sizes
cells        equations, drawings, origins
searches     leaderboards, progress, status
bench        the tables of `cellsearch bench`
"""
