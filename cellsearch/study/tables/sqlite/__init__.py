"""SQLite databases that other processes and programs may change.

files        checks before a database is opened; remedies for a damaged one
guard        limits on the work of SQLite with an untrusted database
copies       consistent copies of a connection's snapshot
connections  connections that stop if their files are removed
backups      the backup beside a database
"""
