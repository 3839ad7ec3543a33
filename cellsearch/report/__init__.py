"""What people see of cells and searches.

columns      tables for a terminal, CSV and Markdown
formatting   durations, counts and sizes
cells        equations, drawings, origins
searches     leaderboards, progress, status
bench        the tables of `cellsearch bench`
"""
