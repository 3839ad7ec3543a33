/* The output layer: logits, loss, gradients. Built as one text with product.c, and uses its blocks of products.

   Positions of a member are processed in blocks of R, symbols in blocks of `wide`. A block of logits [R][wide] stays in
   the second cache. Forward it becomes exponentials there, less the highest logit of each row so far; a later factor
   corrects them. Backward, from the last block of symbols to the first because the last is still in the cache, both
   products of gradients read a block after scaling. */

#include "pointwise.h"

/* Panels in a block of symbols. */
#define BLOCK 8l
/* From this number of symbols on, the outputs are stored in strips of units for the gradient of the matrix, which reads
   them across rows. */
#define MANY 256
#ifdef IS_FLOAT
#define LOWEST -3.402823466e38f
#define LOG logf
#else
#define LOWEST -1.7976931348623157e308
#define LOG log
#endif
#define LINE ((long)(64 / sizeof(real)))
#define LANES (2 * (VECTOR_BYTES / sizeof(real)))
#define WHOLE(n, part) (((n) + (part) - 1) / (part) * (part))
#define LEAST(a, b) ((a) < (b) ? (a) : (b))

/* The left side of a product: number i of row r is at[r * along + i * step]. If step is 0, it is stored in strips, those of
   `even`, each [inner][rows]. */
typedef struct {
    const real *at;
    long along, step;
} left;

/* Memory needed next: rows of `span` numbers. */
typedef struct {
    const real *at;
    long ld, rows, span;
} next;

ALWAYS void strips(const int VECTORS, long all, long inner, left a, const real *w, long ldw, real *keep,
                   const real *start, real *c, long ldc, long columns, int add, next ahead) {
    const long each = ahead.at ? WHOLE(ahead.rows * MR, all) / all : 0;
    parts p = even(all);
    for (long r = 0, rows; r < all; r += rows, p.larger--) {
        rows = p.larger > 0 ? p.rows : p.rows - 1;
        for (long i = 0; i < each && ahead.rows > 0; i++, ahead.rows--, ahead.at += ahead.ld) {
            for (long j = 0; j < ahead.span; j += LINE) __builtin_prefetch(ahead.at + j, 0, 2);
            __builtin_prefetch(ahead.at + ahead.span - 1, 0, 2);
        }
        real *const to = c + r * ldc;
        for (long s = 0; s < rows && ldc >= MANY; s++) {
            __builtin_prefetch(to + s * ldc, 1);
            __builtin_prefetch(to + s * ldc + columns - 1, 1);
        }
        const real *const from = a.at + r * (a.step ? a.along : inner);
        const long along = a.step ? a.along : 1, step = a.step ? a.step : rows;
        const int first = keep && r == 0;
        switch (rows) {
#define CASE(R)                                                                                                        \
    case R:                                                                                                            \
        if (first)                                                                                                     \
            block(R, VECTORS, add, inner, from, along, step, w, ldw, keep, start, to, ldc, columns);                   \
        else                                                                                                           \
            block(R, VECTORS, add, inner, from, along, step, keep ? keep : w, NR, 0, start, to, ldc, columns);         \
        break;
            EACH_COUNT(CASE)
#undef CASE
        }
    }
}

/* One panel of C [all, columns] = or += start + A @ W. W is [inner][NR]; or its rows have stride `ldw` and are
   copied to `keep`, unless that is null. Prefetches `ahead` meanwhile. */
static void panel(long all, long inner, left a, const real *w, long ldw, real *keep, const real *start, real *c, long ldc,
                  long columns, int add, next ahead) {
    if (columns > VL)
        strips(2, all, inner, a, w, ldw, keep, start, c, ldc, columns, add, ahead);
    else
        strips(1, all, inner, a, w, ldw, keep, start, c, ldc, columns, add, ahead);
}

/* Rows of A, with strides `along` and `step`, copied to strips. */
static left lay(long all, long inner, const real *a, long along, long step, real *to) {
    const left found = {to, 0, 0};
    parts p = even(all);
    for (long r = 0, rows; r < all; r += rows, p.larger--) {
        rows = p.larger > 0 ? p.rows : p.rows - 1;
        for (long i = 0; i < inner; i++, to += rows)
            for (long s = 0; s < rows; s++) to[s] = a[(r + s) * along + i * step];
    }
    return found;
}

/* exp of a number <= 0, including -inf. A NaN stays a NaN. */
INLINE real exp_down(real x) {
#ifdef IS_FLOAT
    float z = x < -87.0f ? -87.0f : x, two_to_n;
    const float p = f_parts(z, &two_to_n);
    return x < -87.0f ? 0.0f : p * two_to_n + two_to_n;
#else
    return exp(x);
#endif
}

/* The greater number of each lane; b if a is a NaN. */
INLINE vec greater(vec a, vec b) {
    typedef __typeof__(a > b) mask;
    const mask which = a > b;
    return (vec)(((mask)a & which) | ((mask)b & ~which));
}

/* For each row of a block of positions, over its blocks of logits: the highest logit so far, the sum of exponentials less
   it, the logit of the target, and whether the target is the first of the highest. */
typedef struct {
    real *top, *sum, *chosen;
    int *first;
} known;

/* Updates the state of a row of logits by a block of `count` symbols, except the sum. */
INLINE void look(long count, const real *x, long r, long target, known row) {
    vec m0 = (vec){0} - INFINITY, m1 = m0;
    long j = 0;
    for (; j + VL < count; j += NR) {
        m0 = greater(*(const vec *)(x + j), m0);
        m1 = greater(*(const vec *)(x + j + VL), m1);
    }
    if (j < count) m0 = greater(*(const vec *)(x + j), m0);
    real lanes[VECTOR_BYTES / sizeof(real)];
    *(vec *)lanes = greater(m0, m1);
#pragma GCC unroll 8
    for (int w = VL / 2; w; w /= 2)
        for (int i = 0; i < w; i++) lanes[i] = lanes[i + w] > lanes[i] ? lanes[i + w] : lanes[i];
    const real top = lanes[0];
    const int here = target >= 0 && target < count;
    if (here) row.chosen[r] = x[target];
    if (top > row.top[r]) {
        int first = here && x[target] == top;
        for (long j = 0; first && j < target; j++) first = x[j] != top;
        row.first[r] = first;
        row.sum[r] *= exp_down(row.top[r] - top);
        row.top[r] = top;
    }
}

/* A block of logits of `count` symbols, from symbol `at` on, becomes exponentials less `less`. The last vector of a row is
   whole: after the last symbol it is -inf, and then 0. */
static void exponentials(long count, long wide, long R, real *x, long at, const int64_t *targets, known row, real *less) {
    for (long r = 0; r < R; r++) {
        if (r % 8 == 0) /* several at a time, because of the latency of each */
            for (long s = r; s < LEAST(r + 8, R); s++) look(count, x + s * wide, s, targets[s] - at, row);
        const real top = less[r] = row.top[r];
        real *const to = x + r * wide;
        vec s0 = {0};
#pragma GCC ivdep
        for (long j = 0; j < WHOLE(count, VL); j++) to[j] = exp_down(to[j] - top);
        for (long j = 0; j < count; j += VL) s0 += *(const vec *)(to + j);
        real lanes[VECTOR_BYTES / sizeof(real)];
        *(vec *)lanes = s0;
#pragma GCC unroll 8
        for (int w = VL / 2; w; w /= 2)
            for (int i = 0; i < w; i++) lanes[i] += lanes[i + w];
        row.sum[r] += lanes[0];
    }
}

/* Exponentials of a block become gradients: times the factor of their row; the target's is reduced by `one`. Their sums are
   added to `d_bias`. */
static void scale(long count, long wide, long R, real *x, const real *factor, const int64_t *targets, long at, real one,
                  real *d_bias) {
    real sums[BLOCK * LANES] = {0}, ones[BLOCK * LANES] = {0};
    for (long r = 0; r < R; r++, x += wide) {
        const long target = targets[r] - at;
        const int here = target >= 0 && target < count;
        const real mine = here ? x[target] * factor[r] - one : 0;
        for (long j = 0; j < count; j += VL) {
            const vec d = *(vec *)(x + j) * factor[r];
            *(vec *)(x + j) = d;
            *(vec *)(sums + j) += d;
        }
        if (here) { /* separate from the sums: reading a vector stalls on a number just written */
            x[target] = mine;
            ones[target] += one;
        }
    }
    for (long j = 0; j < count; j++) d_bias[j] += sums[j] - ones[j];
}

/* The next part of the workspace, in whole cache lines. */
static real *part(real **space, long numbers) {
    real *const at = *space;
    *space += WHOLE(numbers, 16);
    return at;
}

/* The output layer of member k.
   n        number of scored positions, H, V; strides of `seen` along K and positions; of `rows`, `d_rows` and `d_seen`
            along K; offsets of matrix and bias of the output layer in a row; positions of a block
   batch    divisor of the gradient
   seen     outputs of the layers; d_seen their gradient, rows of H, 0 where it is not written
   where    the scored positions; null: all
   rows     weights of all members; d_rows their gradient; null: no gradients
   loss     sums over the positions of each member, as `right`
   space    workspace for a block of positions of a member; see output.py */
typedef struct {
    long n[11];
    double batch;
    const real *seen;
    const int64_t *where;
    const real *rows;
    const int64_t *targets;
    real *loss;
    int64_t *right;
    real *d_rows, *d_seen, *space;
} output_call;

void output(long k, const output_call *c) {
    const long *const n = c->n, N = n[0], H = n[1], V = n[2], most = n[10], wide = LEAST(BLOCK * NR, WHOLE(V, NR));
    const int64_t *const where = c->where, *const targets = c->targets;
    const real *const seen = c->seen, *const rows = c->rows, batch = c->batch;
    real *const d_rows = c->d_rows, *const d_seen = c->d_seen, *space = c->space;
    const int many = V >= MANY;
    const real zero[LANES] = {0};
    real *const some = part(&space, where ? most * H : 0), *const back = part(&space, where ? most * H : 0),
         *const down = part(&space, many && d_rows ? most * H : 0),
         *const logits = part(&space, most * (d_rows ? WHOLE(V, wide) : wide)),
         *const less = part(&space, most * (WHOLE(V, wide) / wide)),
         *const packed = part(&space, NR * (wide > H ? wide : H)),
         *const kept = part(&space, NR * most), *const factor = part(&space, most);
    const known row = {part(&space, most), part(&space, most), part(&space, most), (int *)part(&space, most)};
    const real *const w = rows + k * n[5] + n[8], *const b = rows + k * n[5] + n[9];
    real *const d_w = d_rows ? d_rows + k * n[6] + n[8] : 0, *const d_b = d_rows ? d_rows + k * n[6] + n[9] : 0;
    if (d_rows) memset(d_b, 0, V * sizeof(real));
    if (d_rows && N == 0) memset(d_w, 0, H * V * sizeof(real));
    double total = 0;
    c->right[k] = 0;
    for (long from = 0; from < N; from += most) {
        const long R = LEAST(most, N - from), lda = where ? H : n[4];
        const int64_t *const wanted = targets + from;
        const real *const a = where ? some : seen + k * n[3] + from * lda;
        if (where)
            for (long r = 0; r < R; r++)
                memcpy(some + r * H, seen + k * n[3] + where[from + r] * n[4], H * sizeof(real));
        const left positions = {a, lda, 1}, units = !d_rows || !many ? (left){a, 1, lda} : lay(H, R, a, 1, lda, down);
        for (long r = 0; r < R; r++) row.top[r] = LOWEST, row.sum[r] = 0, row.first[r] = 0;
        for (long at = 0; at < V; at += wide) {
            const long count = LEAST(wide, V - at);
            real *const x = logits + (d_rows ? at * R : 0);
            for (long j = at; j < at + count; j += NR) {
                const long columns = LEAST(NR, V - j);
                const next ahead = {j + 2 * NR <= V ? w + j + NR : 0, V, H, NR};
                real start[LANES];
                for (long i = 0; i < NR; i++) start[i] = i < columns ? b[j + i] : -INFINITY;
                pack(H, columns, w + j, V, 0, packed);
                panel(R, H, positions, packed, NR, 0, start, x + j - at, wide, columns > VL ? NR : VL, 0, ahead);
            }
            exponentials(count, wide, R, x, at, wanted, row, less + at / wide * R);
        }
        for (long r = 0; r < R; r++) {
            total += LOG(row.sum[r]) + row.top[r] - row.chosen[r];
            c->right[k] += row.first[r];
        }
        if (!d_rows) continue;
        real *const d_a = d_seen + k * n[7], *const to = where ? back : d_a + from * H;
        for (long at = (V - 1) / wide * wide; at >= 0; at -= wide) {
            const long count = LEAST(wide, V - at);
            const real *const than = less + at / wide * R;
            real *const x = logits + at * R;
#pragma GCC ivdep
            for (long r = 0; r < R; r++) factor[r] = exp_down(than[r] - row.top[r]) / (row.sum[r] * batch);
            scale(count, wide, R, x, factor, wanted, at, 1 / batch, d_b + at);
            for (long j = 0; j < H; j += NR) {
                const long columns = LEAST(NR, H - j);
                const int last = j + NR >= H;
                const next ahead = {!last ? w + (j + NR) * V + at : at ? w + at - wide : 0, V,
                                    LEAST(NR, last ? H : H - j - NR), !last ? count : wide};
                pack(count, columns, w + j * V + at, V, 1, packed);
                panel(R, count, (left){x, wide, 1}, packed, NR, 0, zero, to + j, H, columns, at + wide < V, ahead);
            }
            for (long j = 0; j < count; j += NR)
                panel(H, R, units, x + j, wide, kept, zero, d_w + at + j, V, LEAST(NR, count - j), from > 0, (next){0});
        }
        if (where)
            for (long r = 0; r < R; r++) memcpy(d_a + where[from + r] * H, back + r * H, H * sizeof(real));
    }
    c->loss[k] = total;
}
