"""All keys of a search space's YAML, from the declaring fields."""

from dataclasses import dataclass

from cellsearch.options import Option, fields_of, listed
from cellsearch.study.mutation.spec import Limits, MutationSpec
from cellsearch.study.space.model import Budget, Filter, Space, TaskStage
from cellsearch.study.strategies import Strategy
from cellsearch.train.settings import Grid, Training


@dataclass(frozen=True, slots=True)
class Section:
    """A mapping of the YAML: its key ("" for the top level), its purpose, and its keys in order."""

    name: str
    about: str
    keys: tuple[Option, ...]


KINDS: dict[str, type] = {
    "": Space, "tasks": TaskStage, "grid": Grid, "training": Training, "filter": Filter, "strategy": Strategy,
    "mutation": MutationSpec, "limits": Limits, "budget": Budget,
}  # fmt: skip


def sections() -> tuple[Section, ...]:
    """The whole, then each section; `tasks` has the keys of one item of its list."""
    about = {name: field.metadata["about"] for name, field in fields_of(Space).items()}
    return tuple(
        Section(
            name,
            about.get(name, "keys of the file; numbers in brackets are sections of Jozefowicz et al. (2015)"),
            listed(kind),
        )
        for name, kind in KINDS.items()
    )
