/* Definitions shared by the functions `forward` and `backward` of every layer; `source.py` writes them, `loop.py` makes
   their arguments, for one member k at a time.

   n        T, B, H; strides of members of the weights and of their gradient; offset of the biases in a row; whether the
            gradient of x is requested; steps and sequences of the outer part; then, for every product of the plan, the
            offset of its matrix in a row, the width of its source, and the offset of its packed matrix; then the end of
            the packed matrices
   p, s     the table of tensors: base pointers, and four strides each along K, T, B and H
   rows     weights of all members; d_rows their gradient
   packed   the packed matrices of the loop of one member, then memory for one more or for a panel
   symbols  for every step and sequence its row of the outer part; null if it has the rows of the loop
   f        the functions of product.c */

#include "pointwise.h"

typedef struct {
    void (*pack)(long inner, long n, const real *w, long ld, int transposed, real *packed);
    void (*product)(long rows, long inner, long n, const real *a, long lda, const real *packed, real *c, long ldc, int add);
    void (*products)(long K, long rows, long inner, long n, const real *a, long a_k, long lda, const real *w, long w_k,
                     long ldw, int transposed, const real *bias, long b_k, real *c, long c_k, long ldc, int add,
                     real *packed);
    void (*gradients)(long K, long inner, long n, const real *g, long g_k, long ldg, long S, const long *width,
                      const long *place, real *packed);
} functions;

typedef struct {
    const long *n;
    real **p;
    const long *s;
    const real *rows;
    real *d_rows, *packed;
    const int64_t *symbols;
    const functions *f;
} call;

/* Tensor i of member k; the stride of its rows, also from one step to the next; its location at step t, and the stride of
   its rows there. */
#define MEMBER(i) (p[i] + k * s[4 * (i)])
#define ROW(i) s[4 * (i) + 2]
#define STEP(i) MEMBER(i) + t * s[4 * (i) + 1], ROW(i)

/* The matrix of product j, and its gradient. */
#define MATRIX(j) (rows + k * n[3] + start[j])
#define D_MATRIX(j) (d_rows + k * n[4] + start[j])
#define BIAS(slot) (rows + k * n[3] + n[5] + (slot) * H)
#define D_BIAS(slot) (d_rows + k * n[4] + n[5] + (slot) * H)

/* Brings a line of LINE numbers to the second cache. */
#define LINE (64 / (long)sizeof(real))
#define FETCH(at) __builtin_prefetch(at, 0, 2)

#define OUTER_ROWS (outer_T * outer_B)

/* At step t: `count` slots copied from the row of each symbol, or added to it. */
#define COPY(from, to, count)                                                                                          \
    for (long b = 0; b < B; b++)                                                                                       \
        memcpy(MEMBER(to) + t * s[4 * (to) + 1] + b * ROW(to), MEMBER(from) + symbols[t * B + b] * ROW(from),          \
               (count) * H * sizeof(real))
#define ADD(from, to, count)                                                                                           \
    for (long b = 0; b < B; b++)                                                                                       \
        add_row((count) * H, MEMBER(from) + t * s[4 * (from) + 1] + b * ROW(from),                                     \
                MEMBER(to) + symbols[t * B + b] * ROW(to))
static __attribute__((noinline)) void add_row(long n, const real *restrict from, real *restrict to) {
    for (long h = 0; h < n; h++) to[h] += from[h];
}

/* The sum of the slots c over some rows, added to `to`. */
#define SUM(rows, count, c, to)                                                                                        \
    for (long r = 0; r < (rows); r++) add_row((count) * H, MEMBER(c) + r * ROW(c), to)

/* Product j with its source a and its slots c for all rows of the outer part, forward and backward. */
#define FORWARD(j, slots, a, c, bias, add)                                                                             \
    f->products(1, OUTER_ROWS, width[j], (slots) * H, MEMBER(a), 0, ROW(a), MATRIX(j), 0, (slots) * H, 0, bias, 0,     \
                MEMBER(c), 0, ROW(c), add, room)
#define BACKWARD(j, slots, c, a, add)                                                                                  \
    f->products(1, OUTER_ROWS, (slots) * H, width[j], MEMBER(c), 0, ROW(c), MATRIX(j), 0, (slots) * H, 1, 0, 0,        \
                MEMBER(a), 0, ROW(a), add, room)

/* Product j at step t, with the packed matrix. */
#define AHEAD(j, slots, a, c) f->product(B, H, (slots) * H, STEP(a), packed + at[j], STEP(c), 1)
#define BEHIND(j, slots, c, a, add) f->product(B, (slots) * H, H, STEP(c), packed + at[j], STEP(a), add)

/* The gradients of the matrices of `places` and `widths`, whose products fill the slots c. */
#define GRADIENTS(rows, slots, c, count)                                                                               \
    f->gradients(1, rows, (slots) * H, MEMBER(c), 0, ROW(c), count, widths, places, room)

/* An entry of `places`: the location of a source and of the gradient of its matrix. */
#define PLACE(j, slots, a) (long)MEMBER(a), 0, ROW(a), (long)D_MATRIX(j), 0, (slots) * H

#define SWAP(a, b) { real *const q_ = p[a]; p[a] = p[b]; p[b] = q_; }

#define BEGIN(name, products)                                                                                          \
    void name(long k, const call *c) {                                                                                 \
        const long *const n = c->n, *const s = c->s;                                                                   \
        real **const p = c->p, *const d_rows = c->d_rows, *const packed = c->packed;                                   \
        const real *const rows = c->rows;                                                                              \
        const int64_t *const symbols = c->symbols;                                                                     \
        const functions *const f = c->f;                                                                               \
        const long T = n[0], B = n[1], H = n[2], outer_T = n[7], outer_B = n[8];                                       \
        const long *const start = n + 9, *const width = start + (products), *const at = width + (products);            \
        real *const room = packed + at[products];                                                                      \
        RESUME
#define END }

/* An instrumented library counts the CPU seconds of its parts. */
#ifdef CLOCKED
#include <time.h>
static double spent[8], since;
static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec + 1e-9 * at.tv_nsec;
}
void take_times(double *to, long count) {
    memcpy(to, spent, count * sizeof *spent);
    memset(spent, 0, sizeof spent);
}
#define RESUME since = now();
#define LAP(part) { const double at_ = now(); spent[part] += at_ - since; since = at_; }
#else
#define RESUME
#define LAP(part)
#endif
