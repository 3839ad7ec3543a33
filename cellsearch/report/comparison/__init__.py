"""Comparisons of cells as people see them.

table    lines for a terminal, and columns for other programs
boxes    box plots of the best settings, as SVG
page     one page of Markdown
write    compares, and writes page, figure and values into a folder
"""
