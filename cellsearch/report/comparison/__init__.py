"""Views of comparisons of cells.

table    lines for a terminal, and columns for other programs
boxes    box plots of the best settings, as SVG
page     one page of Markdown
write    compares, and writes page, figure and values into a folder
"""
