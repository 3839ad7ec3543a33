"""Identity of cells.

fingerprint   hash of the graph of a cell
functional    hash of its function, from outputs on probes
probes        the inputs and weights of probes
"""
