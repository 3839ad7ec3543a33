"""The command that goes on with a search, and what `search WORD` means."""

import shutil
from pathlib import Path

import pytest

from cellsearch.errors import CellsearchError, RunError, SpaceError, UsageError
from cellsearch.study.manage import commands
from cellsearch.study.space import Space, load_space, parse_space
from cellsearch.study.studies import opened
from cellsearch.study.tables import database, records, transactions
from tests.study.scripted import TEXT, new_study, space_of

URL = "postgresql://me:geheim@host/db"
SPACE = space_of()


@pytest.mark.parametrize(
    ("given", "further"),
    [
        ([], ""),
        (["search", "my.yaml"], ""),
        (["search", "my.yaml", "--name", "s", "--seed=3"], ""),
        (["search", "--name=s", "my.yaml", "--workers", "3"], "--workers 3"),
        (["--debug", "search", "--workers=3", "my.yaml", "--set", "a=1", "--set=b=2"], "--workers=3"),
        (["search", "my.yaml", "--data", "--set", "--rows", "5"], "--data --set --rows 5"),
        (["search", "my.yaml", "--data", "my data", "--time", "2h"], "--data 'my data' --time 2h"),
        (["search", "--device", "cuda:1", "q", "--trials", "9"], "--device cuda:1 --trials 9"),
        (["search", "--devices", "all", "q", "--proposals", "9"], "--devices all --proposals 9"),
        (["search", "q", "--storage", "sqlite:///other.db"], ""),
        (["search", "q", "--text", "--rows", "--workers", "2"], "--workers 2"),
    ],
)
def test_options_that_say_how_it_runs_are_kept(given: list[str], further: str) -> None:
    told = commands.line(commands.continuing(given, "s", SPACE, None))
    assert told == f"cellsearch search s {further}".rstrip()


def test_no_password_is_recorded_or_told() -> None:
    words = ["search", "quick", "--storage", URL, "--time=2h"]
    for given in (words, ["search", "quick", f"--storage={URL}", "--time=2h"]):
        kept = commands.public(given, URL)
        assert "geheim" not in " ".join(kept) and "…@host/db" in " ".join(kept)
        told = commands.line(commands.continuing(given, "s", SPACE, URL))
        assert told == "cellsearch search s --time=2h --storage postgresql://host/db"
    assert commands.public(words, None) == words


def test_a_name_that_means_another_space_is_given_as_one() -> None:
    quick = load_space("quick")
    assert commands.continuing([], "quick", quick, None) == ["search", "quick"]
    cheaper = load_space("quick", ["budget.trials=3"])  # of which no result depends
    assert commands.continuing([], "quick", cheaper, None) == ["search", "quick"]
    other = load_space("quick", ["training.max_epochs=3"])
    assert commands.continuing([], "quick", other, None) == ["search", "--name", "quick"]
    assert commands.continuing([], "my.yaml", quick, None) == ["search", "--name", "my.yaml"]


def test_one_value_of_an_option_is_changed() -> None:
    words = ["search", "s", "--time", "1h", "--time=2h", "--rows", "--time"]
    assert commands.changed(words, "--time", "4h") == ["search", "s", "--rows", "--time", "4h"]
    assert commands.changed(["search", "s"], "--time", "4h") == ["search", "s", "--time", "4h"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with the searches `mine` of a file, `quick`, and `gates` of another space than that."""
    monkeypatch.chdir(tmp_path)
    spaces = {"mine": SPACE, "quick": load_space("quick", ["budget.trials=7"]), "gates": SPACE}
    for name, space in spaces.items():
        (tmp_path / "results" / name).mkdir(parents=True)
        new_study(tmp_path / "results" / name, space, name=name).engine.dispose()
    (tmp_path / "mine.yaml").write_text(TEXT)
    return tmp_path


def same(found: tuple[Space, str], space: Space, name: str) -> None:
    assert found == (parse_space(space.text), name)


def test_the_name_of_a_search_goes_on_with_its_space(here: Path) -> None:
    same(commands.meant("mine", None), SPACE, "mine")
    same(commands.meant("mine", "mine"), SPACE, "mine")
    same(commands.meant(None, "mine"), SPACE, "mine")
    same(commands.meant("mine", None, ["budget.trials=3"]), space_with("budget.trials=3"), "mine")


def test_the_searches_of_another_folder_are_found(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "empty").mkdir()
    monkeypatch.chdir(here / "empty")
    same(commands.meant("mine", None, results=here / "results"), SPACE, "mine")
    with pytest.raises(SpaceError):
        commands.meant("mine", None)


def space_with(change: str) -> Space:
    return parse_space(SPACE.text, overrides=[change])


@pytest.mark.long
def test_a_bundled_space_comes_first_unless_the_search_has_it(here: Path) -> None:
    same(commands.meant("quick", None), load_space("quick", ["budget.trials=7"]), "quick")
    assert commands.meant("gates", None) == (load_space("gates"), "gates")  # refused with what differs
    same(commands.meant(None, "gates"), SPACE, "gates")
    assert commands.meant("quick", "new") == (load_space("quick"), "new")
    assert commands.meant("jozefowicz2015", None)[1] == "jozefowicz2015"


def test_a_file_is_a_file(here: Path) -> None:
    assert commands.meant("mine.yaml", None) == (load_space("mine.yaml"), "scripted")
    assert commands.meant("./mine.yaml", "mine") == (load_space("mine.yaml"), "mine")
    with pytest.raises(SpaceError):
        commands.meant("results/mine", None)


def test_a_text_takes_a_space(here: Path) -> None:
    (here / "own.txt").write_text("a text of one's own\n" * 500)
    space, name = commands.meant("quick", None, own_text="own.txt")
    assert space == load_space("quick", (), "own.txt") and name == space.name != "quick"
    assert commands.meant("quick", "mine", own_text="own.txt")[1] == "mine"
    with pytest.raises(UsageError, match="--text needs a SPACE"):
        commands.meant(None, "mine", own_text="own.txt")


def test_the_space_of_another_search_is_not_taken_over(here: Path) -> None:
    with pytest.raises(SpaceError, match="no search space or search 'nosuch'") as caught:
        commands.meant("nosuch", None)
    assert "quick" in str(caught.value) and "searches: " in str(caught.value) and "mine" in str(caught.value)
    with pytest.raises(CellsearchError):
        commands.meant("mine", "new")
    with pytest.raises(RunError, match="there is no search 'nosuch'"):
        commands.meant(None, "nosuch")
    with pytest.raises(SpaceError, match="did you mean 'mine'"):
        commands.meant("mime", None)


def test_a_search_in_another_database_is_found(here: Path) -> None:
    url = database.url_of(here / "elsewhere.db")
    shutil.move(here / "results" / "mine" / "study.db", here / "elsewhere.db")
    same(commands.meant("mine", None, (), url), SPACE, "mine")
    with pytest.raises(SpaceError):
        commands.meant("mine", None)


@pytest.mark.long
def test_the_command_is_recorded_at_every_start(here: Path) -> None:
    store = records.open_study(database.url_of(here / "results" / "mine" / "study.db"), "mine")
    assert records.command(store) == []
    assert commands.of(opened("mine")) == "cellsearch search mine"
    for words in (["search", "mine.yaml", "--workers", "2"], ["search", "mine", "--data", "ä b"]):
        records.remember(store, words)
        assert records.command(store) == words
    assert commands.of(opened("mine")) == "cellsearch search mine --data 'ä b'"
    import optuna

    study = optuna.load_study(study_name="mine", storage=store.url)
    assert study.user_attrs["command"] == ["search", "mine", "--data", "ä b"]
    for damage in ('"x"', "[", "5", '[["a"]]'):
        with transactions.writing(store) as connection:
            query = "UPDATE study_user_attributes SET value_json = ? WHERE key = 'command'"
            connection.exec_driver_sql(query, (damage,))
        assert records.command(store) in ([], ["['a']"])
    store.engine.dispose()


def test_where_the_time_was_up_a_longer_one_is_told(here: Path) -> None:
    store = records.open_study(database.url_of(here / "results" / "mine" / "study.db"), "mine")
    records.remember(store, ["search", "mine.yaml", "--time", "10m", "--workers", "2"])
    records.spend(store, 600)
    assert commands.of(opened("mine")) == "cellsearch search mine --time 10m --workers 2"
    records.halt(store)
    assert commands.of(opened("mine")) == "cellsearch search mine --workers 2 --time 20m"
    store.engine.dispose()
