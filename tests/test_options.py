"""Options as fields: what is admitted, how it is worded, and how it is listed."""

from dataclasses import MISSING, dataclass

import pytest

from cellsearch.options import Option, Refused, admitted, between, choices, fields_of, limits, listed, option


@dataclass(frozen=True, slots=True)
class Sample:
    count: int = option(3, "a count", low=1, high=1_000_000)
    share: float | None = option(None, "a share", low=1e-6, high=1)
    kind: str = option("a", "a kind", choices=("a", "b"))
    rates: tuple[float, ...] = option((0.5,), "rates", low=0, high=1e12)
    grid: tuple[int, ...] = option((1,), "sizes", low=1, high=9, key="sizes", otherwise="as above")
    weights: dict[str, int] = option(about="weights", factory=lambda: {"a": 1}, allowed="a mapping")
    plain: int = 0


def test_listed_as_people_write_them() -> None:
    assert listed(Sample) == (
        Option("count", 3, "a whole number from 1 to 1,000,000", "a count"),
        Option("share", None, "a number from 1e-6 to 1, or null", "a share"),
        Option("kind", "a", "a | b", "a kind"),
        Option("rates", (0.5,), "a list, each a number from 0 to 1e12", "rates"),
        Option("sizes", "as above", "a list, each a whole number from 1 to 9", "sizes", follows=True),
        Option("weights", {"a": 1}, "a mapping", "weights"),
    )
    assert (limits(Sample, "count"), choices(Sample, "kind")) == ((1.0, 1_000_000.0), ("a", "b"))
    assert fields_of(Sample)["sizes"].name == "grid" and fields_of(Sample)["weights"].default is MISSING


@pytest.mark.parametrize(
    ("name", "hint", "value", "found"),
    [
        ("count", int, 1e6, 1_000_000), ("count", int, 1, 1), ("share", float | None, 1, 1.0),
        ("share", float | None, None, None), ("kind", str, "b", "b"),
    ],
)  # fmt: skip
def test_what_is_admitted(name: str, hint: object, value: object, found: object) -> None:
    got = admitted(value, hint, fields_of(Sample)[name].metadata)
    assert (got, type(got)) == (found, type(found))


@pytest.mark.parametrize(
    ("name", "hint", "value", "out_of_range"),
    [
        ("count", int, 0, True), ("count", int, 10**400, True), ("count", int, 1.5, False), ("count", int, True, False),
        ("count", int, None, False), ("count", int, float("nan"), False), ("share", float | None, float("nan"), True),
        ("share", float | None, "1", False), ("kind", str, "c", True), ("kind", str, 1, False),
    ],
)  # fmt: skip
def test_what_is_refused(name: str, hint: object, value: object, out_of_range: bool) -> None:
    with pytest.raises(Refused) as caught:
        admitted(value, hint, fields_of(Sample)[name].metadata)
    assert caught.value.out_of_range == out_of_range
    assert caught.value.allowed == next(o.allowed for o in listed(Sample) if o.name == name)


def test_ranges_in_words() -> None:
    assert between(True, (1, 100_000_000)) == "a whole number from 1 to 100,000,000"
    assert between(False, (-0.5, 1e10)) == "a number from -0.5 to 1e10"
