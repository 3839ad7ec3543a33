"""The loop over time as torch calls: the engine that runs everywhere torch runs.

A kernel becomes one Python function over the tensors of its refs, each [K, B, H] (or [K, T, B, H] outside the
loop) or of a shape that broadcasts to it.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cellsearch.compiler.engines.formula import compiled, text
from cellsearch.compiler.plan import kernels
from cellsearch.compiler.plan.backward import Backward, backward_kernels
from cellsearch.compiler.plan.kernels import Kernel, Ref
from cellsearch.compiler.run.buffers import Buffers
from cellsearch.compiler.run.kept import kept
from cellsearch.compiler.run.layout import matrix
from cellsearch.dsl.formulas.form import Call, Formula, Number, Variable, is_whole

_WITH_OUT = {"add", "sub", "mul", "div", "sigmoid", "tanh", "exp", "log", "sqrt", "sin", "cos", "erf", "abs"}
_BROADCAST = {"weight", "tick", "below"}  # refs whose tensors may lack axes


@kept
def compile_kernel(kernel: Kernel) -> Callable[[Sequence[Tensor]], None]:
    """The kernel as a function of its tensors: loads, then stores."""
    lines = [f"    {name} = r[{k}]" for k, (name, _) in enumerate(kernel.loads)]
    first = len(kernel.loads)
    stored = Counter(store.formula for store in kernel.stores)
    targets = {store.formula: f"r[{first + k}]" for k, store in enumerate(kernel.stores) if not store.add}
    whole = {name for name, ref in kernel.loads if ref.kind not in _BROADCAST}  # certainly of the whole shape
    written: set[Formula] = set()
    for let in kernel.lets:
        if is_whole(let.formula, whole):
            whole.add(let.name)
        name = Variable(let.name)
        direct = let.name in whole and stored[name] == 1 and name in targets
        call = _with_out(let.formula, targets[name]) if direct else None
        if call:
            written.add(name)
        lines.append(f"    {let.name} = {call or text(let.formula)}")
    for k, store in enumerate(kernel.stores):
        target = f"r[{first + k}]"
        if store.add:
            lines.append(f"    {target}.add_({text(store.formula)})")
        elif isinstance(store.formula, Number):
            lines.append(f"    {target}.fill_({text(store.formula)})")
        elif store.formula not in written:
            lines.append(f"    {target}.copy_({text(store.formula)})")
    return compiled(["def kernel(r):", *lines, "    return None"], {"torch": torch})


def _with_out(formula: Formula, target: str) -> str | None:
    """The formula as a call that writes to `target` in place, if torch has one."""
    match formula:
        case Call(name, (Number(), _)) if name != "mul":
            return None  # torch has no such call
        case Call("mul", (Number() as a, b)):
            return f"torch.mul({text(b)}, {text(a)}, out={target})"
        case Call(name, args) if name in _WITH_OUT:
            return f"torch.{name}({', '.join(map(text, args))}, out={target})"
    return None


def multiply(
    a: Tensor,
    w: Tensor,
    out: Tensor,
    *,
    turn: bool = False,
    add: bool = False,
    bias: Tensor | None = None,
) -> None:
    """out = a @ w, or a @ w' with `turn`, plus `bias` [K, n], or added to `out` with `add`. The others are
    [K, rows, columns]."""
    weight = w.transpose(1, 2) if turn else w
    if bias is not None:
        torch.baddbmm(bias[:, None], a, weight, out=out)
    elif add:
        torch.baddbmm(out, a, weight, out=out)
    else:
        torch.bmm(a, weight, out=out)


def gradients(pairs: Sequence[tuple[Tensor, Tensor]], d: Tensor) -> None:
    """out = a' @ d for each pair (a, out): the gradients of matrices whose products were added to one sum.
    Each a is [K, rows, width], d [K, rows, n], each out [K, width, n]."""
    for a, out in pairs:
        torch.bmm(a.transpose(1, 2), d, out=out)


class Runner:
    """The kernels of one layer as torch calls, and the matrix products beside them."""

    multiply = staticmethod(multiply)
    gradients = staticmethod(gradients)

    def __init__(self, where: Buffers, above: frozenset[int]) -> None:
        self.where, self.plan = where, where.lay.plan
        self.code: Backward = backward_kernels(self.plan, above)

    def forward_outer(self, stage: int) -> None:
        """An outer stage of the forward pass: its kernels for all steps at once."""
        self._outer(kernels.forward(self.plan)[0][stage])

    def backward_outer(self, stage: int) -> None:
        """An outer stage of the backward pass."""
        self._outer(self.code.outer[stage])

    def forward_step(self, stage: int) -> Callable[[int], None]:
        """The kernels of an inner stage of the forward pass as a function of the step."""
        return self._inner(kernels.forward(self.plan)[1][stage])

    def backward_step(self, stage: int) -> Callable[[int], None]:
        """The kernels of the backward pass, for the current roles of the state gradients."""
        return self._inner(self.code.inner[stage])

    def clear(self, state: int) -> Callable[[int], None]:
        """Zero the gradients of states that no kernel writes."""
        old = self.where.old[state]

        def clear(t: int) -> None:
            old.zero_()

        return clear

    def _outer(self, group: Sequence[Kernel]) -> None:
        for kernel in group:
            if kernel.stores:
                compile_kernel(kernel)([self.where.outer.whole(ref) for ref in kernels.references(kernel)])

    def _inner(self, group: Sequence[Kernel]) -> Callable[[int], None]:
        ready = []  # the kernels with the tensors of every step
        for kernel in group:
            if kernel.stores:
                tensors = (self.where.steps(ref) for ref in kernels.references(kernel))
                ready.append((compile_kernel(kernel), list(zip(*tensors, strict=True))))

        def run(t: int) -> None:
            for call, tensors in ready:
                call(tensors[t])

        return run

    def forward_loop(self) -> None:
        """The inner stages, step by step."""
        where, plan = self.where, self.plan
        calls = []  # of one step: the products of each stage, and its kernels
        for k in range(len(kernels.forward(plan)[1])):
            products = [
                (
                    matrix(where.lay, where.row, plan.index[p]),
                    where.steps(kernels.location(plan, p.source)),
                    where.slots(p.first, p.count).unbind(1),
                )
                for p in (plan.inner[k].products if plan.inner else ())
            ]
            calls.append((products, self.forward_step(k)))
        for t in range(where.steps_count):
            for products, pointwise in calls:
                for weight, source, target in products:
                    torch.baddbmm(target[t], source[t], weight, out=target[t])
                pointwise(t)

    def backward_loop(self) -> None:
        """The inner stages backward. The gradients of old and new states swap their buffers at every step;
        the result lies in `where.old`."""
        where, plan, code = self.where, self.plan, self.code
        unread = [s for s in range(len(where.old)) if Ref("dold", s) not in code.written]
        both = []  # the calls of a step for either role of the two buffers
        for _ in range(2):
            calls = []
            for k in reversed(range(len(code.inner))):
                products = []
                for p in reversed(plan.inner[k].products if plan.inner else ()):
                    to = kernels.gradient(plan, p.source)
                    if to is not None:
                        weight = matrix(where.lay, where.row, plan.index[p]).transpose(1, 2)
                        source = where.d_slots(p.first, p.count).unbind(1)
                        products.append((weight, source, where.steps(to), code.adds[plan.index[p]]))
                calls.append((self.backward_step(k), products))
            both.append(([self.clear(s) for s in unread], calls))
            where.new, where.old = where.old, where.new
        for k, t in enumerate(range(where.steps_count - 1, -1, -1)):
            clears, calls = both[k % 2]
            for clear in clears:
                clear(t)
            for pointwise, products in calls:
                pointwise(t)
                for weight, source, target, add in products:
                    if add:
                        torch.baddbmm(target[t], source[t], weight, out=target[t])
                    else:
                        torch.bmm(source[t], weight, out=target[t])
        if where.steps_count % 2 == 0:
            where.new, where.old = where.old, where.new
