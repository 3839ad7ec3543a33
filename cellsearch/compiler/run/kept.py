"""Results that live as long as the object they follow from.

In: a function of a plan or a layout. Out: the same function; its results lie with its first argument. A cache
of its own would keep plans that nothing else needs, and could forget a tensor that a recorded step still
reads: what holds the layout of a step holds all that the step reads.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar


class Keeper(Protocol):
    """An object with room for what follows from it."""

    @property
    def kept(self) -> dict[Any, Any]:
        """The results, by function and other arguments."""


Owner = TypeVar("Owner", bound=Keeper)
Others = ParamSpec("Others")
Result = TypeVar("Result")


def kept(
    function: Callable[Concatenate[Owner, Others], Result],
) -> Callable[Concatenate[Owner, Others], Result]:
    """`function`, called once for each owner and other arguments. No result may hold its owner: a cycle of
    references would keep both until the garbage collector comes by."""

    @wraps(function)
    def found(owner: Owner, /, *others: Others.args, **named: Others.kwargs) -> Result:
        key = (function, *others, *named.items())
        if key not in owner.kept:
            owner.kept[key] = function(owner, *others, **named)
        result: Result = owner.kept[key]
        return result

    return found
