"""The language.

ops          THE table of ops
nodes        what a cell is made of; invariants: what holds of it; graph: the cell itself
text/        parse and show; load takes a name or a file
weights      what the brackets own, by name
fingerprint  a name for the graph of a cell; functional: one for what it computes (run on `probes`)
roles        gates and what they do; describe: structure and size; reach: what the output depends on
rewrite      a cell as the graph that mutations edit, and back
variants     named edits of a cell (written `anew`)
foreign/     cells of other programs
zoo/         published cells, and what is known about them
"""
