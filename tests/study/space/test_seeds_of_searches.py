"""`seeds: [quick:1, quick:2]`: a search that starts from another one's winners."""

import shutil
from pathlib import Path

import pytest

import cellsearch as cs
from cellsearch.dsl.identity.fingerprint import fingerprint
from cellsearch.dsl.text import parse
from cellsearch.errors import SpaceError
from cellsearch.study import lookup
from cellsearch.study.leaderboard import board
from cellsearch.study.manage import commands
from cellsearch.study.space import check_seeds, difference, load_space, parse_space
from cellsearch.study.space.sections import label
from cellsearch.study.storage.create import create
from cellsearch.study.tables import records
from cellsearch.study.tables.study_facts import Identity, Target
from cellsearch.study.workers.run import default_url, seeds_of
from tests.study.scripted import DIGESTS, TEXT, Scripted, one_of, searched, space_of, work

FIRST, SECOND = 1, 3  # ranks of mutants
SEEDS = f"seeds: [gru, s:{FIRST}, 's:{SECOND}']"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ended") / "s"
    searched(folder, Scripted(), space_of(), one_of(40), trials=20).engine.dispose()
    return folder


@pytest.fixture
def results(ended: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a finished search, `s`, and a space that starts from its first two mutants."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ended, tmp_path / "results" / "s")
    text = TEXT.replace("seeds: [lstm, gru]", SEEDS).replace("name: scripted", "name: next")
    (tmp_path / "next.yaml").write_text(text)
    return tmp_path / "results"


@pytest.mark.long
def test_a_search_starts_from_the_winners_of_another_one(results: Path) -> None:
    winners = {row.rank: row for row in cs.leaderboard("s", results=results) if row.rank}
    space, name = commands.meant("next.yaml", None, results=results)
    assert name == "next" and space.seeds == ("gru", f"s:{FIRST}", f"s:{SECOND}")
    seeds = check_seeds(space)
    labels = ["gru", f"s_{FIRST}", f"s_{SECOND}"]
    assert list(seeds) == labels
    for rank in (FIRST, SECOND):
        assert not winners[rank].seed
        cell = seeds[f"s_{rank}"]
        assert (fingerprint(cell), cell.name) == (winners[rank].fingerprint, f"s_{rank}")
        standing = f"{winners[rank].name} of the search s: rank {rank}, score {winners[rank].score:.4f}"
        assert cell.description == standing
    (results / "next").mkdir()
    identity = Identity(space.text, 1, DIGESTS)
    store = create(
        default_url(results, "next"), "next", space, identity, "test", Target(4), seeds_of(space)
    )  # fmt: skip
    shutil.rmtree(results / "s")  # what becomes of the other search changes nothing
    known = parse_space(records.facts(store).space)  # as a worker reads it: nothing is looked up
    assert known.seeds == space.seeds and not known.found and not difference(known, space)
    work(store, known, Scripted(), one_of(40))
    rows = board.leaderboard(store, known, every=True)
    assert {row.name for row in rows if row.seed} == set(labels)
    assert {row.parent_name for row in rows if row.parent} <= {row.name for row in rows}
    assert len([row for row in rows if not row.seed]) > 0
    store.engine.dispose()
    again, name = commands.meant("next", None, results=results)
    assert name == "next" and list(check_seeds(again)) == labels
    assert parse(again.found[f"s:{FIRST}"]) == seeds[f"s_{FIRST}"]


def test_winners_alone_bring_the_baseline_along(results: Path, tmp_path: Path) -> None:
    file = tmp_path / "next.yaml"
    text = file.read_text().replace("baseline: gru\n", "")
    ranks = {row.name: row.rank for row in cs.leaderboard("s", results=results)}
    for seeds, wanted in (
        ((f"s:{FIRST}",), ((f"s:{FIRST}", "gru"), "gru")),
        ((f"s:{FIRST}", f"s:{ranks['gru']}"), ((f"s:{FIRST}", f"s:{ranks['gru']}"), f"s_{ranks['gru']}")),
        (("lstm", f"s:{FIRST}", "gru"), (("lstm", f"s:{FIRST}", "gru"), "gru")),
    ):
        file.write_text(text.replace(SEEDS, f"seeds: [{', '.join(seeds)}]"))
        space = load_space("next.yaml", find=lookup.seeds(results=results))
        assert (space.seeds, space.baseline) == wanted
        assert seeds_of(space) and parse_space(space.text) == space


@pytest.mark.parametrize(
    "seeds, line, told",
    [
        ("seeds: [gru, s:999]", 3, r"'s:999' is not a seed\n.*the search 's' has no cell 999"),
        ("seeds: [gru, t:1]", 3, r"'t:1' is not a seed\n.*there is no search 't'"),
        ("seeds: [s:1, s:1]", 3, "appears twice"),
        ("seeds: [gru, s:3, s_3.cell]", 3, "s_3.cell"),
    ],
)
def test_what_is_not_there_is_told_with_its_place(
    results: Path, tmp_path: Path, seeds: str, line: int, told: str
) -> None:
    file = tmp_path / "next.yaml"
    file.write_text(file.read_text().replace(SEEDS, seeds))
    with pytest.raises(SpaceError, match=told) as caught:
        load_space("next.yaml", find=lookup.seeds(results=results))
    assert caught.value.place is not None and caught.value.place.line == line
    assert str(caught.value).startswith(f"next.yaml:{line}:")


def test_without_a_look_up_the_error_says_what_to_do(results: Path) -> None:
    space = load_space("next.yaml")
    with pytest.raises(SpaceError, match="'s:1' is a cell of another search"):
        check_seeds(space)


@pytest.mark.parametrize(
    "word, name",
    [
        ("quick:1", "quick_1"),
        ("my-run.2:m12", "my_run_2_m12"),
        ("7:1", "s_7_1"),
        ("lstm", "lstm"),
        ("/a/b.cell", "b"),
    ],
)
def test_labels(word: str, name: str) -> None:
    assert label(word) == name


def test_long_names_of_searches_give_names_of_cells() -> None:
    name = label("a" * 100 + ":m1234")
    assert len(name) <= 64 and name.endswith("m1234") and parse(f"cell {name}(x; h)\nh' = [x, h]\n")
