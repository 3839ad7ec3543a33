"""The language: ops, the cell as a graph, text in both directions, fingerprints, and the zoo of published cells."""
