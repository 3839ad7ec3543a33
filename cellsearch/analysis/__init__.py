"""Questions about cells that are answered by measuring: how fast, how sure, which part matters."""
