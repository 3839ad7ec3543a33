"""Memoisation on the owner object.

Results of a function of a plan or a layout are stored on its first argument. A separate cache would keep
unused plans alive, and could evict a tensor that a captured graph still reads: the owner of a step's layout
owns everything that the step reads.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


class Keeper(Protocol):
    """An object that stores derived results."""

    @property
    def kept(self) -> dict[Any, Any]:
        """The results, by function and other arguments."""


Owner = TypeVar("Owner", bound=Keeper)
Others = ParamSpec("Others")
Result = TypeVar("Result")


def kept(
    function: Callable[Concatenate[Owner, Others], Result],
) -> Callable[Concatenate[Owner, Others], Result]:
    """`function`, called once for each owner and other arguments. Results must not reference their owner: a
    cycle would keep both until garbage collection."""

    @wraps(function)
    def found(owner: Owner, /, *others: Others.args, **named: Others.kwargs) -> Result:
        key = (function, *others, *named.items())
        if key not in owner.kept:
            owner.kept[key] = function(owner, *others, **named)
        result: Result = owner.kept[key]
        return result

    return found
