"""Writes `search_spaces/passed.json`, the shares of the bundled spaces: `python passed.py`. Takes the lines
of `seeds.jsonl` that were measured with the filters as they are now."""

import json
from pathlib import Path

from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.load import load
from cellsearch.study.leaderboard.filter_share import digest
from cellsearch.study.space import load_space, names

HERE = Path(__file__).parent


def main() -> None:
    rows = [json.loads(line) for line in (HERE / "seeds.jsonl").read_text().splitlines()]
    found = []
    for space in map(load_space, names()):
        assert space.filter is not None
        mine = digest(space.filter)
        for seed in space.seeds:
            accuracies = [
                row["accuracy"] or 0.0
                for row in rows
                if row["cell"] == seed and digest(load_space(row["space"], row["overrides"]).filter) == mine
            ]
            if not accuracies:
                print(f"{space.name}: {seed} was not measured")
                continue
            passed = sum(accuracy >= space.filter.accuracy for accuracy in accuracies)
            about = {"space": space.name, "seed": seed, "filter": mine, "cell": fingerprint(load(seed))}
            found.append(about | {"passed": passed, "settings": len(accuracies)})
    text = ",\n".join(f"  {json.dumps(row)}" for row in found)
    (HERE.parents[2] / "search_spaces" / "passed.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
