"""SQLite databases that other processes, and other programs, may change.

files        before a database is opened; what to do about a damaged one
guard        bounds for what a database may make SQLite do
copies       a copy of what a connection sees, whole and sound
connections  connections that stop where the files under them are taken away
backups      the backup beside a database
"""
