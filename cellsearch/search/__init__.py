"""The search: spaces, mutation, strategies, records, and the processes that work on them."""
