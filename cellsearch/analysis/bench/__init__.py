"""How fast is a training step, beside what else a user could do, on the same work in the same run?

work         the same tokens, first weights, loss, clipping and update for everyone
contestants  this program; the cell as an eager module member by member; torch.nn; vmap; torch.compile
limits       what the machine allows: the bare matrix products of the step, the bytes it moves
measure      everyone in turn, again and again; rows with median, spread and conditions
"""
