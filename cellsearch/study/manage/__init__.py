"""Operations on whole searches: list, rename, delete, archive, restore.

hold       exclusive access to an idle search
listing    the searches of a folder or a database, one entry each
change     rename, delete
members    the files allowed in an archive, and their limits
archive    a search -> one file
restore    one file -> a search
commands   the command that started a search, and the command that continues it
"""
