"""Compare a training step with its alternatives, on the same work in the same run.

work         the same tokens, initial weights, loss, clipping and update for all contestants
contestants  this program; the cell as an eager module member by member; torch.nn; vmap; torch.compile; JAX
limits       lower bounds of a step: its matrix products as BLAS calls, the bytes it moves
cpu          the peak of multiply-adds and the rate of the BLAS; CPU seconds to compile a cell
measure      all contestants alternately, repeatedly; rows with median, spread and conditions
"""
