"""How often `compare` and the test of Greff et al. call two equal cells different: `python simulate.py`.

Nothing is trained. Both cells get the same settings, drawn uniformly on an axis; a training has the accuracy
of its setting (three landscapes), the noise of first weights, and on each part of the data the noise of its
positions. One pair, so that no correction is involved: 5% is promised.
"""

import json
from pathlib import Path
from random import Random

from cellsearch.analysis.compare.judge import Tail, difference, tail

BOARDS = 4_000
SIZES = ((20, 0.2), (40, 0.1), (200, 0.1))  # settings of a cell, and the share that is compared
LANDSCAPES = {
    "flat": lambda u: 0.0,
    "basin": lambda u: -2 * max(0.0, abs(u - 0.5) - 0.2),  # a plateau of two fifths
    "peak": lambda u: -4 * (u - 0.5) ** 2,
}
NOISE = ((0.02, 0.003), (0.02, 0.02), (0.005, 0.003))  # of a training, of a part of the data
WORSE = 0.05  # of an accuracy of 0.5: a cell that is 10% worse


def cell(rng: Random, settings: list[float], landscape, noise: tuple[float, float], share: float) -> Tail:
    """The best settings of a cell."""
    true = [0.5 + landscape(u) + rng.gauss(0, noise[0]) for u in settings]
    found = tail(
        [a + rng.gauss(0, noise[1]) for a in true], [a + rng.gauss(0, noise[1]) for a in true], share
    )
    assert found is not None
    return found


def main() -> None:
    rng = Random(1)
    rows = []
    for size, share in SIZES:
        for name, landscape in LANDSCAPES.items():
            for noise in NOISE:
                ours = theirs = seen = 0
                for _ in range(BOARDS):
                    settings = [rng.random() for _ in range(size)]
                    one, other = (cell(rng, settings, landscape, noise, share) for _ in range(2))
                    found = difference(one, other)
                    ours += found.p <= 0.05
                    theirs += found.plain <= 0.05
                    worse = Tail(one.mean - WORSE, one.error, one.plain, one.count)
                    found = difference(worse, other)
                    seen += found.p <= 0.05 and found.estimate < 0
                rows.append(
                    {
                        "settings": size, "best": round(size * share), "landscape": name, "noise": noise,
                        "ours": ours / BOARDS, "greff": theirs / BOARDS, "10% worse": seen / BOARDS,
                    }
                )  # fmt: skip
                print(rows[-1], flush=True)
    file = Path(__file__).with_name("simulated.json")
    file.write_text(json.dumps({"boards": BOARDS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
