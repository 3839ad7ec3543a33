"""How many of 20,000 mutants are twins: `PYTHONPATH=.:tests python results/findings/twins/measure.py`."""

import time
from collections import Counter, defaultdict

from mutants import mutants

from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.identity.functional import functional_fingerprint

COUNT = 20_000

cells = mutants(COUNT)
begun = time.perf_counter()
structures = [fingerprint(cell) for cell in cells]
middle = time.perf_counter()
functions = [functional_fingerprint(cell) for cell in cells]
ended = time.perf_counter()
groups: dict[str, set[str]] = defaultdict(set)
for structure, function in zip(structures, functions, strict=True):
    groups[function].add(structure)
twins = [group for group in groups.values() if len(group) > 1]
print(f"mutants                  {COUNT}")
print(f"structural fingerprints  {len(set(structures))}  ({(middle - begun) / COUNT * 1e3:.2f} ms a cell)")
print(f"functions                {len(groups)}  ({(ended - middle) / COUNT * 1e3:.2f} ms a cell)")
print(f"groups of twins          {len(twins)}")
print(f"graphs beyond the first  {sum(len(group) - 1 for group in twins)}")
print(f"sizes of groups          {dict(sorted(Counter(len(group) for group in twins).items()))}")
