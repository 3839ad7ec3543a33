"""F4 and F21: files that are cut off anywhere, and bits that flip in them, are told or do no harm."""

import json
import random
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cellsearch.errors import CellsearchError, RunError
from cellsearch.study import studies
from cellsearch.study.tables import integrity
from cellsearch.study.workers.run import Options, start
from tests.faults.witness import board, command
from tests.study.scripted import DIGESTS, Scripted, new_study, one_of, searched, space_of, work

pytestmark = pytest.mark.long

FLIPS = 100


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a finished search."""
    folder = tmp_path_factory.mktemp("bits")
    searched(folder, Scripted(), space_of(), one_of(40), 30).engine.dispose()
    return folder / "study.db"


def url_of(file: Path) -> str:
    return f"sqlite:///{file}"


def shown(file: Path) -> tuple[int, Any, str]:
    """What the leaderboard of a database says: exit code, rows and counts, messages."""
    code, out, err = command("leaderboard", "s", "--storage", url_of(file), "--json", "--all")
    if code:
        return code, None, err
    found = json.loads(out)
    del found["counts"]["seconds"]
    for row in found["rows"]:
        row["text"] = "".join(line for line in row["text"].splitlines(True) if not line.startswith("#"))
    return code, found, err


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def fate(file: Path, expected: Any) -> str:
    """What becomes of a damaged database: told, found (by `check`), harmless, or wrong without a word."""
    code, found, err = shown(file)
    assert "defect" not in err and "Traceback" not in err, err
    if code:
        assert code == 1 and len(err.splitlines()) >= 2
        return "told"
    if found == expected:
        return "harmless"
    code, out, err = command("check", str(file))
    assert "defect" not in err, err
    return "found" if code == 1 and ("is damaged" in out + err or "cannot" in err) else "wrong"


def fates(study: Path, folder: Path, seed: int, count: int) -> Counter[str]:
    data, copy = study.read_bytes(), folder / "copy.db"
    copy.write_bytes(data)
    expected, chance = shown(copy)[1], random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(count):
        copy.write_bytes(flipped(data, chance.randrange(8 * len(data))))
        found[fate(copy, expected)] += 1
    return found


def test_a_bit_that_flips_in_a_database_is_told_or_found_or_does_no_harm(study: Path, folder: Path) -> None:
    """Comments of cells are left out of the comparison: a letter in one is seen by nobody."""
    found = fates(study, folder, 1, FLIPS)
    assert found["wrong"] == 0
    assert found["told"] + found["found"] > 5
    print(f"{FLIPS} bits flipped: {dict(found)}")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(2, 5))
def test_two_thousand_bits_of_a_database(study: Path, folder: Path, seed: int) -> None:
    found = fates(study, folder, seed, 2_000)
    assert found["wrong"] == 0
    print(f"2000 bits flipped: {dict(found)}")


def test_a_database_that_is_cut_off_anywhere_is_told(study: Path, folder: Path) -> None:
    data, copy = study.read_bytes(), folder / "copy.db"
    for k in range(1, 40):
        copy.write_bytes(data[: len(data) * k // 40 - 1])
        code, _, err = shown(copy)
        assert code == 1, k
        assert "defect" not in err and ("malformed" in err or "not a database" in err or "damaged" in err), (
            err
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE cellsearch_cell SET trial = -109 WHERE name = 'm2'", "its first trial -109 is about another cell"),
        ("UPDATE cellsearch_item SET study = 0 WHERE trial = 3", "a row of a missing search"),
        ("DELETE FROM cellsearch_item WHERE trial = 3", "trial 3 is missing"),
        ("UPDATE cellsearch_stage SET outcomes = replace(outcomes, 'init_scale=0.3', 'init_scale=0.7')", "its outcomes and"),
        ("UPDATE cellsearch_stage SET accuracy = accuracy + 0.001 WHERE trial = 3", "disagree"),
        ("UPDATE cellsearch_stage SET outcomes = '[' WHERE trial = 3", "outcomes cannot be read"),
        ("UPDATE cellsearch_cell SET text = replace(text, 'tanh', 'relu') WHERE name = 'gru'", "differ from its"),
        ("UPDATE cellsearch_cell SET name = 'gro' WHERE name = 'gru'", "differ from its record"),
        ("UPDATE cellsearch_cell SET parent = 'x' WHERE name = 'm2'", "its parent x is missing"),
        ("UPDATE cellsearch_study SET baseline = replace(baseline, '0.', '0.1')", "is not the best accuracy of gru"),
        ("UPDATE cellsearch_study SET space = 'x'", "the facts of the study cannot be read"),
        ("UPDATE cellsearch_study SET data = '{'", "its records cannot be read"),
        ("UPDATE cellsearch_claim SET setting = setting || '0' WHERE trial = 3", "settings differ from"),
        ("UPDATE cellsearch_item SET fingerprint = 'x' WHERE trial = 4", "trial 4: its cell"),
        ("UPDATE cellsearch_item SET outcome = 'dome' WHERE trial = 4", "'dome'"),
        ("DELETE FROM cellsearch_claim", "settings differ from its claims"),
        ("DELETE FROM cellsearch_stage WHERE trial = 3", "the result of its settings is missing"),
        ("DELETE FROM cellsearch_cell WHERE name = 'm2'", "is missing"),
        ("UPDATE trials SET state = 'RUNNING' WHERE number = 4", "and RUNNING in Optuna"),
        ("DELETE FROM trials WHERE number = 4", "Optuna has no such trial"),
        ("UPDATE trial_values SET value = value + 0.001", "in Optuna"),
    ],
)  # fmt: skip
def test_what_was_recorded_otherwise_is_found(study: Path, folder: Path, change: str, said: str) -> None:
    copy = folder / "copy.db"
    shutil.copy(study, copy)
    assert command("check", str(copy))[0] == 0
    with sqlite3.connect(copy) as connection:
        assert connection.execute(change).rowcount
    connection.close()
    code, out, err = command("check", str(copy))
    assert code == 1 and said in out + err and "restore a copy" in err
    code, out, err = command("check", str(copy), "--json")
    assert code == 1 and (said in err or any(said in line for line in json.loads(out)["damages"]["s"]))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE cellsearch_cell SET parent = CAST(parent AS BLOB) WHERE name = 'm20'", "its parent"),
        ("UPDATE cellsearch_study SET baseline = replace(baseline, 'floor', 'floob')", "the facts of the study cannot be read"),
    ],
)  # fmt: skip
def test_what_a_program_stumbles_over_in_damaged_records_is_no_defect_of_it(
    study: Path, folder: Path, change: str, said: str
) -> None:
    copy = folder / "copy.db"
    shutil.copy(study, copy)
    with sqlite3.connect(copy) as connection:
        assert connection.execute(change).rowcount
    connection.close()
    for words in (("leaderboard", "s", "--all", "--json"), ("show", "s:1"), ("status", "s")):
        code, _, err = command(*words, "--storage", url_of(copy))
        assert "defect" not in err
        if code:
            assert "the search s is damaged" in err and said in err and "restore a copy" in err
    assert command("leaderboard", "s", "--all", "--json", "--storage", url_of(copy))[0] == 1


def torn(file: Path) -> bool:
    """Whether SQLite finds the damage when it looks at everything."""
    try:
        (store,) = studies.in_storage(url_of(file))
        found = integrity.torn(store)
        store.engine.dispose()
    except CellsearchError:
        return False
    return bool(found)


def test_a_damaged_database_is_not_gone_on_with(study: Path, folder: Path) -> None:
    data, chance = study.read_bytes(), random.Random(1)
    for k in range(2_000):  # until SQLite says nothing of it to who reads
        copy = folder / f"{k}.db"  # each time another file: what is read of one is remembered
        copy.write_bytes(flipped(data, chance.randrange(8 * len(data))))
        if torn(copy) and shown(copy)[0] == 0:
            break
        copy.unlink()
    (folder / "s").mkdir()
    options = Options(results=folder, storage=url_of(copy))
    with pytest.raises(RunError, match=r"is damaged:(.|\n)*restore a copy"):
        start(space_of(), "s", lambda _: DIGESTS, options, None)
    options = Options(results=folder, storage=url_of(shutil.copy(study, folder / "whole.db")))
    start(space_of(), "s", lambda _: DIGESTS, options, None).engine.dispose()


def test_a_cell_file_that_was_changed_is_seen(study: Path, folder: Path) -> None:
    row = next(row for row in board(url_of(study))["rows"] if row["name"] == "gru")
    file = folder / f"{row['fingerprint'][:12]}.cell"
    file.write_text(row["text"])
    assert "note" not in command("check", str(file))[1]
    file.write_text(row["text"].replace("tanh", "relu"))
    code, out, _ = command("check", str(file))
    assert code == 0 and "it was edited or is damaged" in out


def test_a_log_that_is_cut_off_at_any_byte_is_no_obstacle(tmp_path: Path) -> None:
    """SQLite's log of what is not in the database file yet, after a kill: only what was not committed is missing."""
    store = new_study(tmp_path, space_of(), 1)
    work(store, space_of(), Scripted(), one_of(9))
    database, log = tmp_path / "study.db", tmp_path / "study.db-wal"
    pieces = database.read_bytes(), log.read_bytes()
    store.engine.dispose()
    chance, settings = random.Random(1), []
    ends = [*sorted(chance.sample(range(len(pieces[1])), 12)), len(pieces[1])]
    for k, cut in enumerate(ends):  # in folders of their own: who reads, writes to the log when it is done
        copy = tmp_path / str(k)
        copy.mkdir()
        (copy / "study.db").write_bytes(pieces[0])
        (copy / "study.db-wal").write_bytes(pieces[1][:cut])
        code, out, err = command("status", "s", "--storage", url_of(copy / "study.db"), "--json")
        if code:  # the log has not even the tables
            assert "no study 's'" in err
            settings.append(0)
        else:
            settings.append(json.loads(out)["counts"]["settings"])
            assert command("check", str(copy / "study.db"))[0] == 0
    assert settings == sorted(settings) and settings[-1] > 40
