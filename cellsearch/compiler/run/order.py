"""The order in which the members of a population go through a window: all at once, step after step, or one
after another, each through all steps on one tape (`engines/native/one_by_one`).

The passes of a layer and of a model are written once, in the steps of an order. Values have the axis K in
both. Where members go one by one, the values of all lie in the same place: a step reads those of its member,
and `keep` copies what is read after the last member.
"""

from collections.abc import Callable

from torch import Tensor

#: Work on some members, in torch.
Work = Callable[[slice], object]


def some(t: Tensor, members: slice) -> Tensor:
    """Those members of a tensor [K, ...], or [1, ...] where all have the same."""
    return t if t.shape[0] == 1 else t[members]


class Together:
    """All members at once: each step is done when it is asked for."""

    def __init__(self, members: int) -> None:
        self.members = members

    def empty(self, like: Tensor, *shape: int) -> Tensor:
        """Room for a value of every member, [K, *shape]."""
        return like.new_empty(self.members, *shape)

    def zeros(self, like: Tensor, *shape: int) -> Tensor:
        """The same, zero where a member begins with it."""
        return like.new_zeros(self.members, *shape)

    def copy(self, to: Tensor, value: Tensor) -> None:
        """Copies a value of every member, [K, ...]."""
        to.copy_(value)

    def keep(self, value: Tensor) -> Tensor:
        """A value [K, ...] as it is at this step, to be read when all members have gone through."""
        return value

    def lookup(self, table: Tensor, symbols: Tensor) -> Tensor:
        """The rows of tables [K, V, D] at symbols [...], int64: [K, ..., D]."""
        return table[:, symbols]

    def add_up(self, table: Tensor, symbols: Tensor, value: Tensor) -> None:
        """The rows of tables [K, V, D] become the sums of rows [K, N, D] at symbols [N], in their order."""
        table.zero_().index_add_(1, symbols, value)

    def work(self, work: Work) -> None:
        """Does something in torch for some members."""
        work(slice(None))

    def last(self, work: Callable[[], None]) -> None:
        """Does something when all members have gone through."""
        work()

    def run(self) -> None:
        """Takes the members through the steps, where that was not done yet."""
