/* Small matrix products: C[rows, n] (+)= A[rows, inner] @ W[inner, n], and gradients C[width, n] = A' @ G.

   W is packed once for all T steps into panels of NR columns, [panel][inner][NR], padded with zeros. At most MR rows of
   C, two vectors wide, are held in registers. Every number of C is a sum over `inner` in an order that depends only on
   `inner`. Compiled once for float and once for double (REAL). */

#include <string.h>

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

/* Registers hold 2 MR sums, two vectors of W, one of A and, if the processor does not fuse it, a product. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define MR 12
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define MR 6
#else
#define VECTOR_BYTES 16
#define MR 6
#endif
typedef real vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define VL ((long)(VECTOR_BYTES / sizeof(real)))
#define NR (2 * VL)
#define ALWAYS static inline __attribute__((always_inline))

/* For gradients: steps of `inner` at a time, so that their piece of a panel of G stays in the first cache, and the packed
   part of A in the second. */
#define DEEP 256l
#define PACKED_BYTES (256l << 10)

long panel_width(void) { return NR; }

/* W [inner, n] with row stride ld, or its transpose if W is stored [n, inner]. Square by square, to read its lines once and
   in few places at a time. */
void pack(long inner, long n, const real *w, long ld, int transposed, real *packed) {
    for (long j = n / NR * NR; j < n; j += NR) memset(packed + j * inner, 0, NR * inner * sizeof(real));
    if (!transposed)
        for (long i = 0; i < inner; i += 8)
            for (long j = 0; j < n; j += NR) {
                const long last = inner - i < 8 ? inner : i + 8, columns = n - j < NR ? n - j : NR;
                for (long l = i; l < last; l++) {
                    const real *const from = w + l * ld + j;
                    real *const to = packed + j * inner + l * NR;
                    if (columns == NR)
                        for (int v = 0; v < 2; v++) *(vec *)(to + v * VL) = *(const vec *)(from + v * VL);
                    else
                        for (long c = 0; c < columns; c++) to[c] = from[c];
                }
            }
    else
        for (long j = 0; j < n; j += NR)
            for (long i = 0; i < inner; i += NR)
                for (long c = j; c < n && c < j + NR; c++) {
                    const real *const from = w + c * ld + i;
                    real *const to = packed + j * inner + i * NR + c - j;
                    if (inner - i >= NR)
#pragma GCC unroll 32
                        for (long l = 0; l < NR; l++) to[l * NR] = from[l];
                    else
                        for (long l = 0; l < inner - i; l++) to[l * NR] = from[l];
                }
}

/* C [rows, columns] = or += the first columns of rows of NR. */
static __attribute__((noinline)) void some_columns(long rows, long columns, const real *from, real *c, long ldc, int add) {
    for (long r = 0; r < rows; r++, from += NR, c += ldc)
        for (long j = 0; j < columns; j++) c[j] = add ? c[j] + from[j] : from[j];
}

/* C [rows, columns] = or += start [NR] + A @ W, for some rows and one panel. Number i of row r of A is
   a[r * along + i * step]; row i of W is w + i * ldw, and is copied to keep + i * NR unless `keep` is null. VECTORS is 1
   for a last panel with at most half of its columns. Capitals are constants. */
ALWAYS void block(const int ROWS, const int VECTORS, int add, long inner, const real *a, long along, long step,
                  const real *w, long ldw, real *keep, const real *start, real *c, long ldc, long columns) {
    vec sum[MR][2];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) sum[r][v] = *(const vec *)(start + v * VL);
    for (long i = 0; i < inner; i++, w += ldw, a += step) {
        const vec w0 = *(const vec *)w, w1 = *(const vec *)(w + VL);
        if (keep) {
            for (int v = 0; v < NR; v += 64 / (int)sizeof(real))
                __builtin_prefetch(w + 24 * ldw + v); /* its rows may be pages apart */
            *(vec *)(keep + i * NR) = w0;
            *(vec *)(keep + i * NR + VL) = w1;
        }
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++) {
            const real x = a[r * along];
            sum[r][0] += x * w0;
            if (VECTORS == 2) sum[r][1] += x * w1;
        }
    }
    if (columns == VECTORS * VL) {
#pragma GCC unroll 16
        for (int r = 0; r < ROWS; r++, c += ldc)
            for (int v = 0; v < VECTORS; v++) {
                if (add) sum[r][v] += *(const vec *)(c + v * VL);
                *(vec *)(c + v * VL) = sum[r][v];
            }
        return;
    }
    real last[MR * 2 * (VECTOR_BYTES / sizeof(real))];
    for (int r = 0; r < ROWS; r++)
        for (int v = 0; v < VECTORS; v++) *(vec *)(last + r * NR + v * VL) = sum[r][v];
    some_columns(ROWS, columns, last, c, ldc, add);
}

#if MR == 12
#define EACH_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)
#else
#define EACH_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif

/* `all` rows in as few blocks as possible, as even as possible: `larger` blocks of `rows`, then `smaller` of one less. */
typedef struct {
    long rows, larger, smaller;
} parts;

static parts even(long all) {
    const long count = (all + MR - 1) / MR, rows = count ? (all + count - 1) / count : 0;
    return (parts){rows, all - count * (rows - 1), count * rows - all};
}

ALWAYS void some_rows(const int VECTORS, int add, long rows, long count, long inner, const real *a, long lda,
                      const real *w, const real *start, real *c, long ldc, long columns) {
    for (; count > 0; count--, a += rows * lda, c += rows * ldc) {
        switch (rows) {
#define CASE(R) case R: block(R, VECTORS, add, inner, a, lda, 1, w, NR, 0, start, c, ldc, columns); break;
            EACH_COUNT(CASE)
#undef CASE
        }
    }
}

static void panels(long rows, long inner, long n, const real *a, long lda, const real *packed, const real *bias,
                   real *c, long ldc, int add) {
    const parts p = even(rows);
    for (long j = 0; j < n; j += NR, packed += inner * NR) {
        const long columns = n - j < NR ? n - j : NR;
        real start[2 * (VECTOR_BYTES / sizeof(real))] = {0};
        if (bias) memcpy(start, bias + j, columns * sizeof(real));
        for (long r = 0, part = 0; part < 2; part++) {
            const long some = p.rows - part, count = part ? p.smaller : p.larger;
            if (columns > VL)
                some_rows(2, add, some, count, inner, a + r * lda, lda, packed, start, c + r * ldc + j, ldc, columns);
            else
                some_rows(1, add, some, count, inner, a + r * lda, lda, packed, start, c + r * ldc + j, ldc, columns);
            r += count * some;
        }
    }
}

void product(long rows, long inner, long n, const real *a, long lda, const real *packed, real *c, long ldc, int add) {
    panels(rows, inner, n, a, lda, packed, 0, c, ldc, add);
}

/* For each of K members: C (+)= A @ W + bias, or A @ W' + bias if W is stored [n, inner]; `bias` may be null, and is null
   if C is added to. a_k, w_k, b_k, c_k are the strides between members; `packed` holds one packed matrix. */
void products(long K, long rows, long inner, long n, const real *a, long a_k, long lda, const real *w, long w_k,
              long ldw, int transposed, const real *bias, long b_k, real *c, long c_k, long ldc, int add,
              real *packed) {
    for (long k = 0; k < K; k++) {
        pack(inner, n, w + k * w_k, ldw, transposed, packed);
        panels(rows, inner, n, a + k * a_k, lda, packed, bias ? bias + k * b_k : 0, c + k * c_k, ldc, add);
    }
}

/* The packed part of A for a piece of `inner`: some of its columns, [inner][rows], and the resulting rows of C. */
typedef struct {
    long rows, ldc;
    const real *a;
    real *c;
} columns_of;

static void pack_columns(long rows, long inner, const real *a, long lda, real *to) {
    switch (rows) {
#define CASE(R) case R: for (long i = 0; i < inner; i++, a += lda, to += R) memcpy(to, a, R * sizeof(real)); break;
        EACH_COUNT(CASE)
#undef CASE
    }
}

ALWAYS void with_panel(const int VECTORS, int add, long inner, const columns_of *some, long count, const real *g,
                       long ldg, real *packed, long j, long columns) {
    const real zero[2 * (VECTOR_BYTES / sizeof(real))] = {0};
    if (columns < NR) pack(inner, columns, g, ldg, 0, packed);
    for (long q = 0; q < count; q++) {
        const columns_of of = some[q];
        if (add)
            for (long r = 0; r < of.rows; r++) __builtin_prefetch(of.c + j + r * of.ldc);  /* for the addition */
        switch (of.rows) {
#define CASE(R)                                                                                                        \
    case R:                                                                                                            \
        if (VECTORS == 2 && q == 0 && columns == NR)                                                                   \
            block(R, VECTORS, add, inner, of.a, 1, R, g, ldg, packed, zero, of.c + j, of.ldc, columns);                \
        else                                                                                                           \
            block(R, VECTORS, add, inner, of.a, 1, R, packed, NR, 0, zero, of.c + j, of.ldc, columns);                 \
        break;
            EACH_COUNT(CASE)
#undef CASE
        }
    }
}

/* For each of K members and each of S matrices: the gradient C [width, n] = A' @ G, with A [inner, width] and one
   G [inner, n] for all; `inner` is every step of every sequence. A panel of G is packed during its first product, and each
   of its pieces is added to C. place[6 s ..] holds for matrix s: A, its member stride, its row stride; then the same for
   C. `packed` holds a panel of G. */
void gradients(long K, long inner, long n, const real *g, long g_k, long ldg, long S, const long *width,
               const long *place, real *packed) {
    real room[PACKED_BYTES / sizeof(real)];
    columns_of some[64];
    const long pieces = (inner + DEEP - 1) / DEEP, most = pieces ? (inner + pieces - 1) / pieces : 1;
    for (long k = 0; k < K; k++)
        for (long i = 0; i == 0 || i < inner; i += most) {
            const long deep = inner - i < most ? inner - i : most;
            parts p = even(width[0]);
            for (long s = 0, r = 0; s < S;) {
                long count = 0;
                for (real *to = room; s < S && count < 64;) {
                    const long rows = p.larger > 0 ? p.rows : p.rows - 1, *at = place + 6 * s;
                    if (to + rows * deep > room + PACKED_BYTES / sizeof(real)) break;
                    const real *a = (const real *)at[0] + k * at[1] + i * at[2] + r;
                    some[count++] = (columns_of){rows, at[5], to, (real *)at[3] + k * at[4] + r * at[5]};
                    pack_columns(rows, deep, a, at[2], to);
                    to += rows * deep;
                    r += rows;
                    p.larger--;
                    if (r == width[s]) r = 0, p = even(width[++s < S ? s : 0]);
                }
                for (long j = 0; j < n; j += NR) {
                    const long columns = n - j < NR ? n - j : NR;
                    const real *from = g + k * g_k + i * ldg + j;
                    if (columns > VL)
                        with_panel(2, i > 0, deep, some, count, from, ldg, packed, j, columns);
                    else
                        with_panel(1, i > 0, deep, some, count, from, ldg, packed, j, columns);
                }
            }
        }
}
