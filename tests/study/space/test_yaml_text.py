"""Reading YAML: what scalars mean, what is refused and where, that nothing takes long. Writing: the inverse."""

import os
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsearch.errors import SpaceError
from cellsearch.study.space import yaml_text
from cellsearch.study.space.faults import MOST
from cellsearch.study.space.yaml_emit import emit
from cellsearch.study.space.yaml_text import MAX_BYTES, MAX_DEPTH, parse, read_text

LOADERS = {"libyaml": yaml.CSafeLoader, "python": yaml.SafeLoader}


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(yaml_text, "LOADER", LOADERS[request.param])
    return str(request.param)


# fmt: off
SCALARS = [
    ("1e-3", 0.001), ("1E3", 1000.0), ("2.5", 2.5), (".5", 0.5), ("5.", 5.0), ("-0.1", -0.1), ("+4", 4), ("-17", -17),
    ("0", 0), ("0.0", 0.0), ("1000000", 1_000_000),
    ("true", True), ("False", False), ("null", None), ("~", None), ("", None),
    ("no", "no"), ("yes", "yes"), ("on", "on"), ("y", "y"), ("12:30", "12:30"), ("2015-07-06", "2015-07-06"),
    ("0x1F", "0x1F"), ("0o17", "0o17"), ("1_000", "1_000"), ("1e", "1e"), ("=", "="), ("inf", "inf"), ("nan", "nan"),
    ("linear(0.9)", "linear(0.9)"), ("'1'", "1"), ('"a\\tb"', "a\tb"), ("'null'", "null"), ("a b", "a b"),
    ("[1, [], {}]", [1, [], {}]), ("{a: 1, b: }", {"a": 1, "b": None}), ("|-\n  a\n  b", "a\nb"), (">-\n  a\n  b", "a b"),
]

# what is said, the text, line and column it is said of
BAD = [
    ("aliases are not allowed",               "a: *b\n", 1, 4),
    ("anchors are not allowed",               "a: &a [*a]\n", 1, 4),
    ("anchors are not allowed",               "a: &a {x: 1}\nb:\n  <<: *a\n", 1, 4),
    ("tags are not allowed",                  "a: !!python/object/apply:os.system [ls]\n", 1, 4),
    ("tags are not allowed",                  "!!map {a: 1}\n", 1, 1),
    ("tags are not allowed",                  "a: ! b\n", 1, 4),
    ("merge keys are not allowed",            "a:\n  <<: {b: 1}\n", 2, 3),
    ("directives are not allowed",            "%YAML 1.1\n---\na: 1\n", 1, 1),
    ("directives are not allowed",            "a: 1\n...\n%TAG ! b\n", 3, 1),
    ("duplicate key 'a'",                     "a: 1\nb: 2\na: 3\n", 3, 1),
    ("the first one is in line 1",          "a: 1\nb: 2\n'a': 3\n", 3, 1),
    ("the key '1' is not text",               "a: 2\n1: a\n", 2, 1),
    ("the key 'true' is not text",            "{true: a}\n", 1, 2),
    ("the key 'null' is not text",            "a: 1\nnull: a\n", 2, 1),
    ("a key that is a list or a mapping",     "? [a, b]\n: 1\n", 1, 3),
    ("a second document",                     "a: 1\n---\nb: 2\n", 2, 1),
    ("a number with a leading zero",          "a: 017\n", 1, 4),
    ("a number with a leading zero",          "a: [-00.5]\n", 1, 5),
    ("'1e309' is too large for a number",     "a: 1e309\n", 1, 4),
    (".inf is not a finite number",           "a: .inf\n", 1, 4),
    (".NaN is not a finite number",           "a: .NaN\n", 1, 4),
    ("more than 40 digits",                   f"a: {'9' * 5000}\n", 1, 4),
    ("a tab",                                 "a:\n\tb: 1\n", 2, 1),
    ("a tab",                                 "a:\tb\n", 1, 3),
    ("U+0000 is not allowed",                 "a: \0\n", 1, 4),
    ("U+001B is not allowed",                 "# \x1b[31m\n", 1, 3),
    ("U+FEFF is not allowed",                 "a: \ufeff\n", 1, 4),
    ("U+2028 is not allowed",                 "a: b\u2028c: d\n", 1, 5),
    ("U+D800 is not allowed",                 "a: \ud800\n", 1, 4),
    ("mapping values are not allowed",        "a: b: c\n", 1, 5),
    ("cannot start any token",                "a: @b\n", 1, 4),
    ("not YAML",                              "a: [1, 2\n", 2, 1),
    ("not YAML",                              "a: 'b\n", 2, 1),
    ("not YAML",                              "a: 1\n b: 2\n", 2, 3),
    ("a tab",                                 "é: 1\r\n😀: '😀\t'\r\n", 2, 6),
    ("duplicate key '😀'",                    "\ufeff😀: '😀'\r\n\r\n😀: 2\n", 3, 1),
]
# fmt: on


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars(text: str, value: object, loader: str) -> None:
    found = parse(f"a: {text}\n").plain
    assert found == {"a": value}
    assert type(found["a"]) is type(value)  # type: ignore[index,call-overload]


@pytest.mark.parametrize(("message", "text", "line", "column"), BAD)
def test_what_is_refused(message: str, text: str, line: int, column: int, loader: str) -> None:
    with pytest.raises(SpaceError) as caught:
        parse(text, "x.yaml")
    place = caught.value.place
    assert message in caught.value.message
    assert place and (place.file, place.line, place.column) == ("x.yaml", line, column)
    assert caught.value.remedy or message == "not YAML"


def test_an_error_shows_the_line_and_a_caret() -> None:
    with pytest.raises(SpaceError) as caught:
        parse("grid:\n  rate: [1, 017]\n", "s.yaml")
    first, line, caret, remedy = str(caught.value).split("\n")
    assert first.startswith("s.yaml:2:13: a number with a leading zero")
    assert line == "    rate: [1, 017]"
    assert caret == "              ^^^"
    assert remedy == "write 17, or put it in quotes if it is meant as text"


def test_places_of_values_and_keys(loader: str) -> None:
    root = parse("a: 1\n😀😀: {b: [x, 'é é'],\n  c: }\n")
    assert isinstance(root.content, dict)
    inner = root.content["😀😀"].content
    assert isinstance(inner, dict)
    b = inner["b"].content
    assert isinstance(b, tuple)
    spots = [b[0].span, b[1].span, inner["b"].key, inner["c"].key, root.content["😀😀"].key]
    assert [(s.line, s.column, s.length) for s in spots if s] == [
        (1, 9, 1), (1, 12, 5), (1, 5, 1), (2, 2, 1), (1, 0, 2),
    ]  # fmt: skip


def test_nothing_is_nothing(loader: str) -> None:
    for text in ("", "\n\n", "# a comment\n", "---\n", "\ufeff"):
        assert parse(text).plain is None


def test_depth_has_a_limit(loader: str) -> None:
    parse("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for bad in ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "- " * (MAX_DEPTH + 1) + "1"):
        with pytest.raises(SpaceError, match="nested more than 64 deep"):
            parse(bad)


# Texts of up to 1 MiB that have made YAML parsers slow, deep or large.
HOSTILE = {
    "brackets": "[" * MAX_BYTES,
    "braces": "{" * MAX_BYTES,
    "dashes": "- " * (MAX_BYTES // 2),
    "questions": "[? " * (MAX_BYTES // 3),
    "anchors": "&a " * (MAX_BYTES // 3),
    "tags": "!a " * (MAX_BYTES // 3),
    "directives": "".join(f"%TAG !a{k}! b\n" for k in range(MAX_BYTES // 20)),
    "documents": "---\n" * (MAX_BYTES // 4),
    "comments": "#" * MAX_BYTES,
    "line breaks": "a: '" + "\n" * (MAX_BYTES - 10) + "'",
    "indents": "".join(" " * k + "-\n" for k in range(1400)),
    "escapes": '"' + "\\x41" * (MAX_BYTES // 4 - 1) + '"',
    "bomb": "a: &a [x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_end_soon(name: str) -> None:
    start = time.monotonic()
    try:
        parse(HOSTILE[name])
    except SpaceError as error:
        assert len(str(error)) < 2_000 * len(error.parts) and len(error.parts) <= MOST
    assert time.monotonic() - start < 10


def test_a_long_text_is_refused() -> None:
    with pytest.raises(SpaceError, match="longer than 1 MiB"):
        parse("a" * (MAX_BYTES + 1))


def test_files(tmp_path: Path) -> None:
    good = tmp_path / "räum 1.yaml"
    good.write_bytes("\ufeffa: ä\r\n".encode())
    assert parse(read_text(good)).plain == {"a": "ä"}

    fifo, loop, large, latin, wide = (tmp_path / name for name in ("fifo", "loop", "large", "latin", "wide"))
    os.mkfifo(fifo)
    loop.symlink_to(loop)
    large.write_bytes(b"a" * (MAX_BYTES + 1))
    latin.write_bytes("a: ü\nb: ".encode() + b"\xfc\n")
    wide.write_bytes("a: 1\n".encode("utf-16"))
    for path, message in (
        (tmp_path, "is a directory"),
        (fifo, "is not a regular file"),
        (Path("/dev/zero"), "is not a regular file"),
        (loop, "cannot read"),
        (large, "is longer than 1 MiB"),
        (latin, "byte 0xFC is not UTF-8"),
        (wide, "byte 0xFF is not UTF-8"),
        (tmp_path / "none.yaml", "there is no file"),
        (tmp_path / ("x" * 300), "cannot read"),
        (tmp_path / "a\0b", "cannot read"),
    ):
        with pytest.raises(SpaceError) as caught:
            read_text(path)
        assert message in caught.value.message
    with pytest.raises(SpaceError) as caught:
        read_text(latin)
    assert caught.value.place and (caught.value.place.line, caught.value.place.column) == (2, 4)


WORDS = st.text(st.sampled_from("ab1 :-#[]{},&*!|>'\"%@`\n\t?<=.~0e+éñ😀\x00\\"), max_size=40)


@given(st.binary(max_size=300) | WORDS.map(str.encode))
@settings(max_examples=500, deadline=2_000)
def test_any_bytes_load_or_are_refused(data: bytes) -> None:
    path = Path("any.yaml")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    try:
        root = parse(text, str(path))
    except SpaceError as error:
        assert str(error)
    else:
        assert parse(emit(root.plain)).plain == root.plain


@given(WORDS)
@settings(max_examples=500, deadline=2_000)
def test_loaders_that_both_accept_a_text_agree(text: str) -> None:
    found = []
    for kind in LOADERS.values():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml_text, "LOADER", kind)
            try:
                found.append(repr(parse(text).plain))
            except SpaceError:
                return  # libyaml takes a few texts that the other refuses, and the other way round
    assert found[0] == found[1]


KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
SCALAR = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from([text for text, _ in SCALARS])
)
PLAIN = st.recursive(SCALAR, lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner), max_leaves=20)


@pytest.mark.long
@given(PLAIN)
@settings(deadline=2_000)
def test_what_is_written_reads_back(value: yaml_text.Plain) -> None:
    text = emit(value)
    found = parse(text).plain
    assert found == value
    assert emit(found) == text
