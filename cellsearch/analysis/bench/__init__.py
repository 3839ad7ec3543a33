"""How fast is a training step, beside what else a user could do, on the same work in the same run?

work         the same tokens, first weights, loss, clipping and update for everyone
contestants  this program; the cell as an eager module member by member; torch.nn; vmap; torch.compile; JAX
limits       what a step cannot do without: its matrix products as calls of the BLAS, the bytes it moves
cpu          the peak of multiply-adds and the rate of the BLAS; CPU seconds to compile a cell
measure      everyone in turn, again and again; rows with median, spread and conditions
"""
