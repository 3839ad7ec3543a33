"""The code of larger verbs, imported when one of them runs.

search     a search on this machine;  watcher  its display;  replay  --replay;  dry_run  --dry-run
status     `status` and `leaderboard`, and the board below a search
check      a cell, a space or a database
listing    cells, tasks and spaces
import_    cells from other tools
"""
