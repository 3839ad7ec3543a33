"""What people see of cells and searches: equations, drawings, tables, and a running search."""
