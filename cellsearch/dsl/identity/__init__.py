"""When two cells are the same.

fingerprint   a name for the graph of a cell
functional    a name for what it computes, from its outputs on probes
probes        inputs and weights for that
"""
