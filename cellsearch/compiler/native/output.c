/* The passes over the logits of the output layer that are exact: whoever does them, every bit is the same. Between the
   two, torch takes exponentials and their sum. Rows of V logits, `rows` of them, whose targets repeat after n. */

#include "pointwise.h"

/* The highest logit of each row, which is subtracted from all of it; that of the target; and whether the target is the
   first of the highest. A NaN is the highest of all, as torch has it. */
void highest(long rows, long n, long V, real *x, const int64_t *targets, real *top, real *chosen, uint8_t *right) {
    for (long r = 0; r < rows; r++, x += V) {
        const long target = targets[r % n], whole = V & -STRIP;
        real lanes[STRIP], most = -INFINITY;
        int32_t broken[STRIP] = {0}, any = 0;
        for (int i = 0; i < STRIP; i++) lanes[i] = -INFINITY;
        for (long j = 0; j < whole; j += STRIP)
#pragma GCC ivdep
#pragma GCC unroll 1
            for (int i = 0; i < STRIP; i++) {
                lanes[i] = x[j + i] > lanes[i] ? x[j + i] : lanes[i];
                broken[i] |= x[j + i] != x[j + i];
            }
        for (int i = 0; i < STRIP; i++) {
            most = lanes[i] > most ? lanes[i] : most;
            any |= broken[i];
        }
        for (long j = whole; j < V; j++) {
            most = x[j] > most ? x[j] : most;
            any |= x[j] != x[j];
        }
        chosen[r] = x[target];
        long first = 0;
        if (any) {
            while (x[first] == x[first]) first++;
            most = x[first];
        } else if (x[target] == most)
            while (x[first] != most) first++;
        else
            first = -1;
        right[r] = first == target;
        top[r] = most;
#pragma GCC ivdep
        for (long j = 0; j < V; j++) x[j] -= most;
    }
}

/* From exponentials and their sums to the gradient of the loss, divided by `batch`. */
void slopes(long rows, long n, long V, real *x, const int64_t *targets, const real *total, real batch) {
    for (long r = 0; r < rows; r++, x += V) {
        const real sum = total[r];
        const long target = targets[r % n];
        const real there = (x[target] / sum - 1) / batch;
#pragma GCC ivdep
        for (long j = 0; j < V; j++) x[j] = x[j] / sum / batch;
        x[target] = there;
    }
}
