"""The order of the members of a population in a window: all together, step by step, or one after another,
each through all steps on one tape (`engines/native/one_by_one`).

The passes of a layer and of a model are written once, as steps of an order. Values have the axis K in both.
If members go one by one, all members share the memory of a value: a step reads the value of its member, and
`keep` copies values that are read after the last member.
"""

from collections.abc import Callable

from torch import Tensor

#: Work on some members, in torch.
Work = Callable[[slice], object]


def some(t: Tensor, members: slice) -> Tensor:
    """The slice of some members of a tensor [K, ...], or [1, ...] if all share it."""
    return t if t.shape[0] == 1 else t[members]


class Together:
    """All members together: each step runs immediately."""

    def __init__(self, members: int) -> None:
        self.members = members

    def empty(self, like: Tensor, *shape: int) -> Tensor:
        """Memory for a value of every member, [K, *shape]."""
        return like.new_empty(self.members, *shape)

    def zeros(self, like: Tensor, *shape: int) -> Tensor:
        """Memory for a value of every member, zero when a member starts."""
        return like.new_zeros(self.members, *shape)

    def copy(self, to: Tensor, value: Tensor) -> None:
        """Copies a value of every member, [K, ...]."""
        to.copy_(value)

    def keep(self, value: Tensor) -> Tensor:
        """A value [K, ...] at this step, to be read after all members are done."""
        return value

    def lookup(self, table: Tensor, symbols: Tensor) -> Tensor:
        """The rows of tables [K, V, D] at symbols [...], int64: [K, ..., D]."""
        return table[:, symbols]

    def add_up(self, table: Tensor, symbols: Tensor, value: Tensor) -> None:
        """The rows of tables [K, V, D] become the sums of rows [K, N, D] at symbols [N], in their order."""
        table.zero_().index_add_(1, symbols, value)

    def work(self, work: Work) -> None:
        """Runs torch code for some members."""
        work(slice(None))

    def last(self, work: Callable[[], None]) -> None:
        """Runs code after all members are done."""
        work()

    def run(self) -> None:
        """Runs the steps for the members, if not done yet."""
