"""Searches as a whole: list, rename, delete, archive, restore.

hold       the hold on a search on which no search and no worker is running
listing    the searches of a folder or a database, one entry each
change     rename, delete
members    the files of a search that an archive may have, and their limits
archive    a search -> one file
restore    one file -> a search
commands   the command that started a search, and the command that continues it
"""
