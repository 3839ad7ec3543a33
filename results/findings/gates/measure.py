"""What README.md says of the search: its first rows, the score of every ranked cell, and its mutations.

python measure.py results/gates_2h > measured.json      a directory of a search
python measure.py --show                                tables of README.md
"""

import json
import sqlite3
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

ROWS = 10
CELLS = "SELECT fingerprint, parent, edits, score FROM cellsearch_cell WHERE NOT seed"
ENDS = "SELECT fingerprint, outcome FROM cellsearch_item WHERE kind = 'propose'"


def asked(verb: str, search: Path, *more: str) -> Any:
    """What a verb says as JSON."""
    words = [sys.executable, "-m", "cellsearch", verb, search.name, "--json", *more]
    return json.loads(subprocess.run(words, cwd=search.parents[1], check=True, capture_output=True).stdout)


def mutations(search: Path) -> dict[str, list[tuple[str, float | None]]]:
    """Mutation -> the children with such an edit: their end, and their score / that of their parent."""
    with sqlite3.connect(f"file:{search / 'study.db'}?mode=ro", uri=True) as connection:
        ends = dict(connection.execute(ENDS))
        scores = dict(connection.execute("SELECT fingerprint, score FROM cellsearch_cell"))
        children = connection.execute(CELLS).fetchall()
    found = defaultdict(list)
    for mark, parent, edits, score in children:
        if mark in ends:  # else it was proposed as another, equivalent cell
            ratio = round(score / scores[parent], 4) if score and scores[parent] else None
            for name in {edit["mutation"] for edit in json.loads(edits)}:
                found[name].append((ends[mark], ratio))
    return dict(found)


def main(search: Path) -> None:
    board = asked("leaderboard", search, "--all")
    keys = (
        "rank",
        "name",
        "score",
        "text",
        "parent_name",
        "edits",
        "settings",
        "parameters",
        "above_chance",
        "tie",
    )
    ranked = [row for row in board["rows"] if row["rank"] is not None]
    rows = [row for row in ranked if row["rank"] <= ROWS or row["status"] == "seed"]
    found = {
        "counts": board["counts"], "chance": board["chance"], "units": board["units"],
        "rows": [
            {key: row[key] for key in keys}
            | {"ratios": {task["task"]: task["ratio"] for task in row["tasks"]}, "verdict": row["verdict"]}
            for row in rows
        ],
        "scores": sorted([row["trial"], round(row["score"], 4)] for row in ranked),
        "mutations": mutations(search),
    }  # fmt: skip
    print(json.dumps(found))


def show() -> None:
    found = json.loads(Path(__file__).with_name("measured.json").read_text())
    table = []
    for name, children in found["mutations"].items():
        ratios = [ratio for _, ratio in children if ratio is not None]
        share = sum(end == "ranked" for end, _ in children) / len(children)
        table.append((share, name, len(children), ratios))
    for share, name, count, ratios in sorted(table, reverse=True):
        middle = f"{statistics.median(ratios):.3f}" if ratios else ""
        print(
            f"| `{name}` | {count} | {share:.0%} | {middle} | {sum(r > 1 for r in ratios)} of {len(ratios)} |"
        )
    for row in found["rows"]:
        ratios = " | ".join(f"{ratio:.3f}" for ratio in row["ratios"].values())
        print(f"| {row['rank']} | `{row['name']}` | {row['score']:.3f} | {ratios} | {row['verdict']}")


if __name__ == "__main__":
    show() if "--show" in sys.argv else main(Path(sys.argv[1]).resolve())
