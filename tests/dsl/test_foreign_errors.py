"""Files that are no recipes and no genotypes: what is said of them, where, and that none takes long."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cellsearch.dsl.importers import read
from cellsearch.dsl.importers.source import MAX_BYTES, MAX_CELLS
from cellsearch.errors import ForeignError

NODE = '"h_new_0": {"op": "linear", "input": ["x", "h_prev_0"]}'


def refuse(path: Path) -> ForeignError:
    with pytest.raises(ForeignError) as caught:
        read(path)
    error = caught.value
    assert all(line.isprintable() for line in str(error).split("\n")), str(error)
    assert error.remedy, str(error)
    return error


def refuse_text(folder: Path, text: str, name: str) -> ForeignError:
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    return refuse(folder / name)


# Text with ¦ where the error is, if a message of its kind has a line and a column; its message and its remedy.
# `@` stands for a recipe's one good node, `A` in a message for the path to node 'a'.
RECIPES = [
    ("{}", "the recipe: there is no node 'h_new_0'", "new values are h_new_0"),
    ("[]", "bad.json: an empty list instead of recipes", "a node is written"),
    ("[3]", "recipe 0: expected an object of nodes, found a number", "a node is written"),
    ('[{@}, "x"]', "recipe 1: expected an object of nodes, found a text", "a node is written"),
    ('{@, "a": 1}', "A: expected a node, found a number", "a node is written"),
    ('{@, "a": null}', "A: expected a node, found null", "a node is written"),
    ('{@, "a": NaN}', "A: expected a node, found a number", "a node is written"),
    ('{@, "a": {}}', "A: there is no 'op'", "a node is written"),
    ('{@, "a": {"op": "linear"}}', "A: there is no 'input'", "a node is written"),
    ('{@, "a": {"op": "linear", "inputs": ["x"]}}', "A: unknown key 'inputs'", "did you mean 'input'?"),
    ('{@, "a": {"op": "activation_sigmoid", "input": ["x"]}}', "A → op: unknown op 'activation_sigmoid'", "did you mean 'activation_sigm'? (linear, blend"),
    ('{@, "a": {"op": "conv", "input": ["x"]}}', "A → op: unknown op 'conv'", "(linear, blend, elementwise_sum"),
    ('{@, "a": {"op": ["linear"], "input": ["x"]}}', "A → op: expected an op, found a list", "an op is a name in quotes"),
    ('{@, "a": {"op": "linear", "input": "x"}}', "A → input: expected a list, found a text", "the input is a list"),
    ('{@, "a": {"op": "linear", "input": ["x", 0]}}', "A → input[1]: expected an input, found a number", "a name in quotes"),
    ('{@, "a": {"op": "linear", "input": []}}', "A → input: wrong number of inputs", "linear takes 1 or "
    "more, not 0"),
    ('{@, "a": {"op": "blend", "input": ["x", "x"]}}', "wrong number of inputs", "blend takes 3, not 2"),
    ('{@, "a": {"op": "elementwise_sum", "input": ["x"]}}', "wrong number of inputs", "takes 2 or more, not 1"),
    ('{@, "a": {"op": "activation_tanh", "input": ["x", "h_prev_0"]}}', "wrong number", "takes 1, not 2"),
    ('{@, "a": {"op": "linear", "input": ["h_new0"]}}', "A → input[0]: there is no 'h_new0'", "did you mean 'h_new_0'?"),
    ('{@, "a": {"op": "linear", "input": ["nothing"]}}', "A → input[0]: there is no 'nothing'", "add it"),
    ('{@, "a": {"op": "linear", "input": ["h_prev_1"]}}', "A → input[0]: 'h_prev_1' is read, but there is no "
    "'h_new_1'", "every state needs a new value"),
    ('{@, "h_new_2": {"op": "linear", "input": ["x"]}}', "the recipe: there is no node 'h_new_1'", "there is h_new_0, h_new_2"),
    ('{@, "h_new_01": {"op": "linear", "input": ["x"]}}', "node 'h_new_01': its number has a leading zero", "write h_new_1"),
    ('{@, "h_prev_0": {"op": "linear", "input": ["x"]}}', "node 'h_prev_0': this is the name of an input", "another name"),
    ('{@, "x": {"op": "linear", "input": ["x"]}}', "node 'x': this is the name of an input", "another name"),
    ("{@, @}", "the recipe: expected an object of nodes, found an object with the key 'h_new_0' twice", "remove or rename one"),
    ('{@, "a": {"op": "linear", "op": "blend", "input": ["x"]}}', "A: expected a node, found an object with the key 'op' twice", "remove"),
    ('{@, "a": {"op": "linear", "input": ["a"]}}', "the nodes depend on themselves: 'a' reads 'a'", "h_prev_0"),
    ('{@, "a": {"op": "linear", "input": ["b"]}, "b": {"op": "linear", "input": ["x", "a"]}}', "'a' reads 'b' reads 'a'", "h_prev_0"),
    ('{@, "\\u001b[31m[bold]": 1}', "node '\\x1b[31m[bold]': expected a node, found a number", "a node is written"),
    ('{@, "\\ud800": 1}', "node '\\ud800': expected a node, found a number", "a node is written"),
    ('{"recepie": {"op": "linear", "input": ["x"]}}', "the recipe: there is no node 'h_new_0'", "new values"),
    ("[" * 100_000, "bad.json: objects and lists are nested too deep", "is this a recipe?"),
    ('{"a":' * 100_000, "bad.json: objects and lists are nested too deep", "is this a recipe?"),
    ("{@,}", "this is not JSON: ", "remove the comma"),
    ("[{@},]", "this is not JSON: ", "remove the comma"),
    ("{@¦", "this is not JSON: expecting ',' delimiter", "is the file whole?"),
    ('{¦"a', "this is not JSON: unterminated string", "is the file whole?"),
    ("{@} ¦{@}", "this is not JSON: extra data", "a list of them"),
    ("{¦'a': 1}", "this is not JSON: expecting property name", "double quotes"),
    ("{@ ¦// why\n}", "this is not JSON: expecting ','", "no comments"),
    ('{"a":\n ¦nothing}', "this is not JSON: expecting value", "is this JSON?"),
    ('{"é": ¦+1}', "this is not JSON: expecting value", "is this JSON?"),
    ('{"a¦\nb": 1}', "this is not JSON: invalid control character", "is this JSON?"),
    ('{"¦\x1b[31m": 1}', "this is not JSON: invalid control character", "is this JSON?"),
    ("¦true", "neither a recipe nor a genotype", "JSON"),
    ("¦nan", "neither a recipe nor a genotype", "JSON"),
    ("\n\n  ¦cell a(x; h)", "neither a recipe nor a genotype", ".py file"),
]  # fmt: skip

GENOTYPES = [
    ("x = 1\n", "holds no genotype in literal form", "write NAME = Genotype("),
    ("A = ¦Genotype()\n", "the genotype has no recurrent", "write NAME"),
    ("A = ¦Genotype([('tanh', 0)])", "the genotype has no concat", "write NAME"),
    ("A = Genotype([('tanh', 0)], ¦[])", "concat is empty", "at least one node"),
    ("A = Genotype([('tanh', 0)], ¦range(3, 1))", "concat is empty", "at least one node"),
    ("A = Genotype([('tanh', 0)], [¦2])", "concat names node 2, which does not exist", "to 1, one for each "
    "pair"),
    ("A = Genotype([('tanh', 0)], [¦-1])", "concat names node -1", "to 1, one for each pair"),
    ("A = Genotype([('tanh', 0)], [¦True])", "concat names node True", "to 1, one for each pair"),
    ("A = Genotype([('tanh', 0)], range(1, ¦10**9))", "10**9 is not a literal", "write NAME"),
    ("A = Genotype([('tanh', 0)], ¦range(1, 999999999))", "more than 1,000 values", "cannot have that many"),
    ("A = Genotype([('tanh', 0)], ¦range(1, 2, 0))", "this is not a valid range", "range(1, 9)"),
    ("A = Genotype([¦('tanh', 1)], [1])", "node 1 reads node 1", "node 1 can read 0 to 0"),
    ("A = Genotype([('tanh', 0), ¦('relu', -1)], [1])", "node 2 reads node -1", "0 to 1"),
    ("A = Genotype([¦('tahn', 0)], [1])", "unknown function 'tahn'", "did you mean 'tanh'? (tanh, relu"),
    ("A = Genotype([¦('none', 0)], [1])", "'none' is not a function of a genotype: in DARTS it means no "
    "connection", "one of tanh, relu"),
    ("é = Genotype([¦(tanh, 0)], [1])", "(tanh, 0) is not a literal", "only literals"),
    ("A = Genotype([¦(f'tanh', 0)], [1])", "is not a literal", "only literals"),
    ("A = Genotype([(¦'tanh')], [1])", "expected a pair like ('tanh', 0), found 'tanh'", "only literals"),
    ("A = Genotype([¦('tanh', 0, 1)], [1])", "expected a pair like ('tanh', 0), found ('tanh', 0, 1)", "only literals"),
    ("A = Genotype([¦('tanh', 0.5)], [1])", "expected a pair", "only literals"),
    ("A = Genotype([¦('tanh', False)], [1])", "expected a pair", "only literals"),
    ("A = Genotype([¦('tanh', k)], [1])", "('tanh', k) is not a literal", "only literals"),
    ("A = Genotype(¦gene, [1])", "expected a list of pairs, found gene", "only literals"),
    ("A = Genotype(¦[('tanh', 0)] * 8, [1])", "expected a list of pairs", "only literals"),
    ("A = Genotype([('tanh', 0)], range(¦STEPS))", "STEPS is not a literal", "only literals"),
    ("A = Genotype([('tanh', 0)], concat=¦set([1]))", "expected a list of numbers or range(1, 9), found set([1])", "only literals"),
    ("A = Genotype([('tanh', 0)], [1], ¦[2])", "a genotype has two fields", "write NAME"),
    ("A = Genotype([('tanh', 0)], [1], concat=¦[1])", "concat is given twice", "remove"),
    ("A = Genotype([('tanh', 0)], concatt=¦[1])", "unknown field 'concatt'", "did you mean 'concat'?"),
    ("A = Genotype(**¦{'concat': [1]})", "unknown field '**'", "write NAME"),
    ("A = Genotype(normal=¦[('sep_conv_3x3', 1)], normal_concat=range(2, 6))", "convolutional network", "recurrent ones"),
    ("A = ¦Genotype([('tanh', 0)], [1])._replace(x=1)", "inside another expression", "write NAME"),
    ("A = [¦Genotype([('tanh', 0)], [1])]", "inside another expression", "write NAME"),
    ("¦A = B = Genotype([('tanh', 0)], [1])", "not a plain assignment of a genotype", "write NAME"),
    ("¦A += Genotype([('tanh', 0)], [1])", "not a plain assignment of a genotype", "write NAME"),
    ("¦a.A = Genotype([('tanh', 0)], [1])", "not a plain assignment of a genotype", "write NAME"),
    ("A = Genotype([('tanh', 0)], [1])\n¦A = Genotype([('relu', 0)], [1])", "'A' is assigned twice", "rename"),
    ("A = ¦Genotype([('tanh', 0)], [1]", "this Genotype( is not closed", "write NAME"),
    ("A = Genotype([('tanh', 0)¦), [1])", "this is not Python: ", "write NAME"),
    ("A = Genotype([(¦'tanh, 0)], [1])", "this is not Python: unterminated string", "write NAME"),
    ('"""¦Genotype(\n', "this Genotype( is not closed", "write NAME"),
    ("A = ¦Genotype(" + "(" * 99_999, "this Genotype( is not closed", "write NAME"),
    ("A = Genotype([('tanh', 0)], ¦list(list(range(1, 2))))", "expected a list of numbers", "only literals"),
    (f"A = Genotype([[{'[' * 50_000}{']' * 50_002}, [1])", "", "write NAME"),
    (f"A = ¦Genotype({'-' * 60_000}1)", "this is not Python", "write NAME"),
    (f"A = Genotype([({'-' * 150}1, 0)], [1])", "is not a literal", "only literals"),
    (f"x = {'-' * 200_000}1\nA = 1", "this is not Python", "write NAME"),
    (f"A = Genotype([('tanh', {'9' * 10_000})], [1])", "this is not Python", "write NAME"),
    (f"A = ¦Genotype([('tanh', {'9' * 100_000})], [1])", "this Genotype( is not closed within 64 KiB", "write NAME"),
    (f"¦A = Genotype({[('tanh', k) for k in range(40)]}, [40])", "more than 100 nodes in one chain", "use a smaller genotype"),
    (f"¦A = Genotype({[('tanh', 0)] * 200}, range(1, 201))", "more than 1,000 nodes", "use a smaller genotype"),
    (f"A = Genotype(¦{[('tanh', 0)] * 2000}, [1])", "more than 1,000 values", "a cell cannot have"),
    (f"A = Genotype([('tanh', 0)], ¦{[1] * 2000})", "more than 1,000 values", "a cell cannot have"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message", "remedy"), RECIPES, ids=[row[1][:40] for row in RECIPES])
def test_recipes(tmp_path: Path, text: str, message: str, remedy: str) -> None:
    text, message = text.replace("@", NODE), message.replace("A", "the recipe → node 'a'", message[0] == "A")
    refuse_row(tmp_path / "bad.json", text, message, remedy)


@pytest.mark.parametrize(("text", "message", "remedy"), GENOTYPES, ids=[row[1][:40] for row in GENOTYPES])
def test_genotypes(tmp_path: Path, text: str, message: str, remedy: str) -> None:
    refuse_row(tmp_path / "bad.py", text, message, remedy)


def refuse_row(path: Path, text: str, message: str, remedy: str) -> None:
    before, mark, _ = text.partition("¦")
    error = refuse_text(path.parent, text.replace("¦", ""), path.name)
    assert message in error.message and remedy in error.remedy, str(error)
    if mark:
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        assert str(error).startswith(f"{path}:{line}:{column}: ")


def test_errors_in_the_recipe_of_a_log(tmp_path: Path) -> None:
    error = refuse_text(tmp_path, '{"status": "OK",\n"recepie": "{\\"a\\": 3}"}', "log.json")
    assert str(error).startswith(
        f"{tmp_path / 'log.json'} (recepie): the recipe → node 'a': expected a node, found a"
    )


def chain(length: int) -> dict[str, object]:
    nodes = {f"n{k}": {"op": "activation_tanh", "input": [f"n{k + 1}"]} for k in range(length)}
    return (
        {"h_new_0": {"op": "linear", "input": ["n0", "h_prev_0"]}}
        | nodes
        | {f"n{length}": {"op": "linear", "input": ["x"]}}
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (chain(900), "more than 100 nodes in one chain"),
        (chain(1_500), "an object with more than 1,000 keys"),
        ({"h_new_0": {"op": "elementwise_sum", "input": ["x"] * 1_000}}, "more than 1,000 operations"),
        ({"h_new_0": {"op": "linear", "input": ["x"] * 1_001}}, "wrong number of inputs"),
        ({"h_new_0": {"op": "linear", "input": ["x"] * 1_000}}, "more than 1,000 operations"),
        ([[]] * MAX_CELLS, "recipe 0: expected an object of nodes, found a list"),
        ([1] * (MAX_CELLS + 1), "a list of more than 20,000"),
        ({"h_new_0": {"op": "linear", "input": ["h_new_0"]}} | {f"n{k}": {"op": "linear", "input": ["x"] * 300} for k in range(900)}, "the nodes depend on themselves"),
        ({"h_new_0": {"op": "linear", "input": [f"a{k}" * 3_000 for k in range(900)]}}, "there is no 'a0a0"),
        ({f"h_new_{k}": {"op": "linear", "input": ["x"]} for k in range(0, 1_600, 2)}, "there is no node 'h_new_1'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_recipes_that_are_too_large(tmp_path: Path, value: object, message: str) -> None:
    assert message in refuse_text(tmp_path, json.dumps(value), "large.json").message


@pytest.mark.long
def test_a_million_nodes(tmp_path: Path) -> None:
    node = '{"op":"linear","input":["x"]}'
    some = "{" + ",".join(f'"{k:x}":{node}' for k in range(400_000)) + "}"
    assert "more than 1,000 keys" in refuse_text(tmp_path, some, "some.json").message
    more = "{" + ",".join(f'"{k:x}":{node}' for k in range(1_000_000)) + "}"
    assert "is longer than 16 MiB" in refuse_text(tmp_path, more, "more.json").message


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("spaces.json", "[" + " " * (MAX_BYTES - 1)),
        ("quotes.json", '["' + "\\\\" * (MAX_BYTES // 2 - 1)),
        ("digits.json", "[" + "1" * (MAX_BYTES - 2)),
        ("marks.py", ";" * (2**18)),
        ("lists.json", "[" + "[]," * (MAX_BYTES // 3 - 2) + "[]]"),
        ("objects.json", "[" + "{}," * (MAX_BYTES // 3 - 2) + "{}]"),
        ("escapes.json", '["' + "\\u0041" * (MAX_BYTES // 6 - 2) + '"]'),
        ("names.py", "a;" * (2**17)),
        ("names_assigned.py", "a=" * (2**17 - 1) + "1"),
        ("attributes.py", "a" + ".b" * (2**17 - 1)),
        ("quotes.py", "'''" + "\\\\''" * (2**16)),
        ("brackets.py", "()" * 2**17),
        ("calls.py", "Genotype(" * (2**18 // 9)),
        ("calls.log", "Genotype(" * 20_000 + "(" * 2**20),
        ("calls_nested.log", ("Genotype(" + "(" * 700 + ")" * 700) * 10_000),
    ],
)
def test_the_largest_files_end(tmp_path: Path, name: str, text: str) -> None:
    refuse_text(tmp_path, text, name)


def torch_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    return file.getvalue()


class Touches:
    """What a pickle of it does when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, ("touched", 0o700)


@pytest.mark.parametrize("name", ["a.pkl", "a.json", "a.py", "a.pt", "a", "a.npy"])
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickles_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Touches(), protocol))
    error = refuse(tmp_path / name)
    if protocol or name.endswith((".pkl", ".pt", ".npy")):
        assert "reading a pickle runs code" in error.message and "JSON" in error.remedy
    assert not (tmp_path / "touched").exists()
    (tmp_path / name).write_bytes(torch_file())
    assert "reading a pickle runs code" in refuse(tmp_path / name).message


def test_what_is_no_text(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "empty.json").write_text(" \n")
    (tmp_path / "wide.json").write_bytes(("{" + NODE + "}").encode("utf-16"))
    (tmp_path / "a.cell").write_text("cell a(x; h)\nh' = tanh[x, h]\n")
    for name, message in [
        ("pipe.json", "is not a regular file"), ("", "is a directory"), ("empty.json", "is empty"), ("wide.json", "is not UTF-8"),
        ("a.cell", "is already a cell"), ("missing.json", "there is no file"), ("a\0b", "cannot read"),
    ]:  # fmt: skip
        assert message in refuse(tmp_path / name).message
    assert "is not a regular file" in refuse(Path("/dev/zero")).message


def of(words: list[str]) -> "st.SearchStrategy[str]":
    return st.lists(st.sampled_from(words), max_size=50).map("".join)


JSON = of([*'{ } [ ] , : "h_new_0" "x" "op" "input" "linear" \\ 0 é'.split(), " ", "\n", "\ud800"])
PYTHON = of([*"A = Genotype ( ) [ ] , 'tanh' 0 1 range concat ; # ' \"\"\" \\ .".split(), " ", "\n"])


@pytest.mark.long
@given(
    text=st.text() | JSON | st.builds("[{}".format, JSON) | PYTHON,
    suffix=st.sampled_from([".json", ".py", ".log"]),
)
@example(text="[{" + NODE + "}]", suffix=".json")
@example(text="A = Genotype([('tanh', 0)], [1])", suffix=".py")
@example(text="A = Genotype([('tanh', 0)], [1])", suffix=".log")
def test_any_text_gives_cells_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        assert read(path)
    except ForeignError as error:
        assert error.remedy and all(line.isprintable() for line in str(error).split("\n"))
