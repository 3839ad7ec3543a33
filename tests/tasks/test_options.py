"""Options: every wrong one is a message that names it, and no input does anything else."""

from dataclasses import asdict, fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import DataError
from cellsearch.tasks import TASKS, parse_options

NEEDED = {"text": {"source": "python-docs"}}
NAMES = sorted(TASKS)
WHOLE = "a whole number from 1 to 15"


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("arithmetic", {"digit": 3}, "'digit' of task 'arithmetic'. Did you mean 'digits'? Its options: "),
        ("arithmetic", {"qqqqq": 3}, "unknown option 'qqqqq' of task 'arithmetic'. Its options: digits,"),
        ("arithmetic", {3: 3}, "unknown option 3 of task 'arithmetic'"),
        ("arithmetic", {"digits": 16}, f"option 'digits' of task 'arithmetic' is 16; it must be {WHOLE}."),
        ("arithmetic", {"digits": "8"}, f"option 'digits' of task 'arithmetic' must be {WHOLE}, not '8'."),
        ("arithmetic", {"digits": 2.5}, f"must be {WHOLE}, not 2.5."),
        ("arithmetic", {"digits": True}, f"must be {WHOLE}, not true."),
        ("arithmetic", {"digits": None}, f"must be {WHOLE}, not null."),
        ("arithmetic", {"digits": [8]}, f"must be {WHOLE}, not a list."),
        ("arithmetic", {"digits": 10**5000}, f"is a number of more than 40 digits; it must be {WHOLE}."),
        ("arithmetic", {"digits": float("nan")}, f"must be {WHOLE}, not nan."),
        ("arithmetic", {"negative": float("nan")}, "is nan; it must be a number from 0 to 1."),
        ("arithmetic", {"negative": float("inf")}, "is inf; it must be a number from 0 to 1."),
        ("arithmetic", {"negative": -0.1}, "is -0.1; it must be a number from 0 to 1."),
        ("arithmetic", {"negative": 10**400}, "is a number of more than 40 digits; it must be a number from"),
        ("arithmetic", {"lengths": "uniforn"}, "it must be one of uniform, values. Did you mean 'uniform'?"),
        ("arithmetic", {"lengths": 3}, "is 3; it must be one of uniform, values."),
        ("arithmetic", {"train": 10**9}, "is 1000000000; it must be a whole number from 1 to 100,000,000."),
        ("arithmetic", {"train": 0}, "is 0; it must be a whole number from 1 to 100,000,000."),
        ("arithmetic", {"a\x1b[31m": 0}, r"unknown option 'a\x1b[31m'"),
        ("arithmetic", [1], "must be pairs of name and value, not a list."),
        ("arithmetic", None, "must be pairs of name and value, not null."),
        ("text", {"path": 3}, "option 'path' of task 'text' must be a text, not 3."),
        ("text", {"path": ""}, "must be a text of 1 to 4096 characters without NUL, not ''."),
        ("text", {"path": "a\0b"}, "must be a text of 1 to 4096 characters without NUL"),
        ("text", {"path": "x" * 5000}, "must be a text of 1 to 4096 characters without NUL"),
        ("text", {"train": "all"}, "must be a whole number from 1 to 100,000,000, or null, not 'all'."),
        ("arithmatic", {}, "unknown task 'arithmatic'. Did you mean 'arithmetic'? Tasks: memorize,"),
        (["xml"], {}, "unknown task a list. Tasks: memorize,"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_one_clear_message(task: object, options: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_options(task, options)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_within_their_own_ranges(name: str) -> None:
    parsed = parse_options(name, NEEDED.get(name, {}))
    assert parse_options(name, asdict(parsed)) == parsed


def test_numbers_as_people_write_them() -> None:
    parsed = parse_options("arithmetic", {"train": 1e6, "negative": 1})
    assert (parsed.train, type(parsed.train)) == (1_000_000, int)
    assert (parsed.negative, type(parsed.negative)) == (1.0, float)
    assert parse_options("ptb", {"train": None}).train is None


WORDS = sorted({field.name for task in TASKS.values() for field in fields(task.options)})
VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.integers()
    | st.floats()
    | st.sampled_from(["file", "python-docs", "word", "character", "marks", "spaces", "uniform", "values"])
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
)


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(NAMES),
    st.dictionaries(st.sampled_from(WORDS) | st.text() | st.integers(), VALUES, max_size=3),
)
def test_any_mapping_gives_options_or_a_data_error(name: str, mapping: dict[object, object]) -> None:
    try:
        parsed = parse_options(name, mapping)  # type: ignore[arg-type]
    except DataError as error:
        assert "task" in str(error)
        return
    assert parse_options(name, asdict(parsed)) == parsed
    for key, value in mapping.items():
        assert getattr(parsed, str(key)) == value


@pytest.mark.parametrize("name", NAMES)
def test_listings_have_a_help_and_a_range_for_every_option(name: str) -> None:
    task = TASKS[name]
    assert task.name == name
    assert task.about
    assert task.source
    assert [option.name for option in task.listed] == [field.name for field in fields(task.options)]
    for option in task.listed:
        assert len(option.about) > 10
        assert option.allowed
    sizes = {option.name for option in task.listed}
    assert {"train", "valid", "test"} <= sizes


def test_how_a_listing_reads() -> None:
    rows = {option.name: (option.default, option.allowed) for option in TASKS["text"].listed}
    assert rows["source"] == ("file", "file | python-docs")
    assert rows["path"] == (None, "a text, or null")
    assert rows["train"] == (None, "a whole number from 1 to 100,000,000, or null")
    assert rows["test_fraction"] == (0.1, "a number from 0.001 to 0.9")
