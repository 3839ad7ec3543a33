"""Studies of earlier versions.

migrate    ordered steps from each version to the next
version1   the tables of version 1
"""
