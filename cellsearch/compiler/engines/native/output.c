/* The output layer: logits, loss, gradients. Member after member, so that the logits of one stay in the cache; built in
   one text with product.c, whose functions it calls. */

#include "pointwise.h"

/* A row of logits takes whole strips; what is behind the last symbol is -inf and then 0. */
#define WIDTH(V) (((V) + STRIP - 1) & -STRIP)

/* The highest number of a row of whole strips. */
static inline real highest(long width, const real *x) {
    real lanes[STRIP], most = -INFINITY;
    for (int i = 0; i < STRIP; i++) lanes[i] = -INFINITY;
    for (long j = 0; j < width; j += STRIP)
#pragma GCC ivdep
#pragma GCC unroll 1
        for (int i = 0; i < STRIP; i++) lanes[i] = x[j + i] > lanes[i] ? x[j + i] : lanes[i];
    for (int i = 0; i < STRIP; i++) most = lanes[i] > most ? lanes[i] : most;
    return most;
}

/* The exponentials of a row less `top` take its place; their sum. A NaN anywhere makes it NaN. */
static inline real exponentials(long width, real *x, real top) {
    real lanes[STRIP] = {0}, sum = 0;
    for (long j = 0; j < width; j += STRIP)
#pragma GCC ivdep
#pragma GCC unroll 1
        for (int i = 0; i < STRIP; i++) {
            const real e = f_exp(x[j + i] - top);
            x[j + i] = e;
            lanes[i] += e;
        }
    for (int i = 0; i < STRIP; i++) sum += lanes[i];
    return sum;
}

/* Loss in nats of one row of logits, and whether the target is the first of the highest; with `batch` not 0 the
   gradient, divided by it, takes the place of the logits and is added to `d_bias`. */
static inline real row(long V, real *x, long target, real batch, real *d_bias, int64_t *right) {
    const long width = WIDTH(V);
    for (long j = V; j < width; j++) x[j] = -INFINITY;
    const real top = highest(width, x), chosen = x[target];
    int first = chosen == top;
    for (long j = 0; first && j < target; j++) first = x[j] != top;
    *right += first;
    const real sum = exponentials(width, x, top);
    if (batch != 0) {
        const real scale = 1 / (sum * batch);
#pragma GCC ivdep
        for (long j = 0; j < width; j++) x[j] *= scale;
        x[target] -= 1 / batch;
#pragma GCC ivdep
        for (long j = 0; j < width; j++) d_bias[j] += x[j];
    }
#ifdef IS_FLOAT
    return logf(sum) + top - chosen;
#else
    return log(sum) + top - chosen;
#endif
}

/* n        K, how many positions are scored, H, V; strides of `seen` along K and positions; of `rows`, `d_rows` and
            `d_seen` along K; where matrix and bias of the output layer start in a row
   seen     outputs of the layers; d_seen their gradient, rows of H, 0 where it is not written
   where    the positions that are scored; null where all are
   rows     weights of all members; d_rows their gradient; where d_rows is null nothing is differentiated
   loss     sums over the positions of each member, as `right`
   space    room for the logits of a member; for its packed matrix or a panel of gradients; for what is scored of `seen` */
void output(const long *n, const real *seen, const int64_t *where, const real *rows, const int64_t *targets,
            double batch, real *loss, int64_t *right, real *d_rows, real *d_seen, real *space) {
    const long K = n[0], N = n[1], H = n[2], V = n[3], width = WIDTH(V);
    real *const some = space, *const logits = some + (where ? N * H : 0), *const sums = logits + N * width,
         *const packed = sums + width;
    for (long k = 0; k < K; k++) {
        const real *a = seen + k * n[4], *const w = rows + k * n[6] + n[9], *const b = rows + k * n[6] + n[10];
        long lda = n[5];
        if (where) {
            for (long r = 0; r < N; r++) memcpy(some + r * H, a + where[r] * lda, H * sizeof(real));
            a = some;
            lda = H;
        }
        products(1, N, H, V, a, 0, lda, w, 0, V, 0, b, 0, logits, 0, width, 0, packed);
        double total = 0;
        memset(sums, 0, width * sizeof(real));
        right[k] = 0;
        for (long r = 0; r < N; r++)
            total += row(V, logits + r * width, targets[r], d_rows ? (real)batch : 0, sums, right + k);
        loss[k] = total;
        if (!d_rows) continue;
        real *const d = d_rows + k * n[7];
        const long place[] = {(long)a, 0, lda, (long)(d + n[9]), 0, V};
        gradients(1, N, V, logits, 0, width, 1, &H, place, packed);
        memcpy(d + n[10], sums, V * sizeof(real));
        real *const d_a = d_seen + k * n[8];
        products(1, N, V, H, logits, 0, width, w, 0, V, 1, 0, 0, where ? some : d_a, 0, H, 0, packed);
        if (where)
            for (long r = 0; r < N; r++) memcpy(d_a + where[r] * H, some + r * H, H * sizeof(real));
    }
}
