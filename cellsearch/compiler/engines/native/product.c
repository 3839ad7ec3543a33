/* Small matrix products for the loop over time: C[rows, n] (+)= A[rows, inner] @ W[inner, n].

   W is packed once for all T steps into panels of NR columns, [panel][inner][NR], padded with zeros, so that the inner
   loop streams it; a block of MR rows is held in registers. Compiled once for float and once for double (REAL). */

#include <string.h>

#ifndef REAL
#define REAL float
#endif
typedef REAL real;

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define MR 10
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define MR 5
#else
#define VECTOR_BYTES 16
#define MR 5
#endif
typedef real vec __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define VL ((long)(VECTOR_BYTES / sizeof(real)))
#define NR (2 * VL)

long panel_width(void) { return NR; }

/* W [inner, n] with row stride ld, or its transpose where W is stored [n, inner]. */
void pack(long inner, long n, const real *w, long ld, int transposed, real *packed) {
    for (long j = 0; j < n; j += NR) {
        const long columns = n - j < NR ? n - j : NR;
        for (long i = 0; i < inner; i++, packed += NR) {
            if (transposed)
                for (long c = 0; c < columns; c++) packed[c] = w[(j + c) * ld + i];
            else
                memcpy(packed, w + i * ld + j, columns * sizeof(real));
            for (long c = columns; c < NR; c++) packed[c] = 0;
        }
    }
}

/* `vectors` is 1 for a last panel of which at most half is there. Sums start at `start` [NR], a padded piece of the bias,
   or at 0. */
static inline __attribute__((always_inline)) void block(const int rows, const int vectors, long inner, const real *a,
                                                        long lda, const real *w, const real *start, real *c, long ldc,
                                                        long columns, int add) {
    vec sum[MR][2];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) sum[r][v] = *(const vec *)(start + v * VL);
    for (long i = 0; i < inner; i++, w += NR) {
        const vec w0 = *(const vec *)w, w1 = *(const vec *)(w + VL);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const real x = a[r * lda + i];
            sum[r][0] += x * w0;
            if (vectors == 2) sum[r][1] += x * w1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        real *to = c + r * ldc;
        if (columns == vectors * VL) {
            for (int v = 0; v < vectors; v++) {
                if (add) sum[r][v] += *(const vec *)(to + v * VL);
                *(vec *)(to + v * VL) = sum[r][v];
            }
        } else {
            real last[2 * (VECTOR_BYTES / sizeof(real))];
            for (int v = 0; v < vectors; v++) *(vec *)(last + v * VL) = sum[r][v];
            for (long j = 0; j < columns; j++) to[j] = add ? to[j] + last[j] : last[j];
        }
    }
}

static inline __attribute__((always_inline)) void panel(const int vectors, long rows, long inner, const real *a, long lda,
                                                        const real *w, const real *start, real *c, long ldc,
                                                        long columns, int add) {
    long r = 0;
    for (; r + MR <= rows; r += MR)
        block(MR, vectors, inner, a + r * lda, lda, w, start, c + r * ldc, ldc, columns, add);
    for (; r + 4 <= rows; r += 4) block(4, vectors, inner, a + r * lda, lda, w, start, c + r * ldc, ldc, columns, add);
    for (; r < rows; r++) block(1, vectors, inner, a + r * lda, lda, w, start, c + r * ldc, ldc, columns, add);
}

static void panels(long rows, long inner, long n, const real *a, long lda, const real *packed, const real *bias,
                   real *c, long ldc, int add) {
    for (long j = 0; j < n; j += NR, packed += inner * NR) {
        const long columns = n - j < NR ? n - j : NR;
        real start[2 * (VECTOR_BYTES / sizeof(real))] = {0};
        if (bias) memcpy(start, bias + j, columns * sizeof(real));
        if (columns > VL)
            panel(2, rows, inner, a, lda, packed, start, c + j, ldc, columns, add);
        else
            panel(1, rows, inner, a, lda, packed, start, c + j, ldc, columns, add);
    }
}

void product(long rows, long inner, long n, const real *a, long lda, const real *packed, real *c, long ldc, int add) {
    panels(rows, inner, n, a, lda, packed, 0, c, ldc, add);
}

/* For each of K members: C (+)= A @ W + bias, or A @ W' + bias where W is stored [n, inner]; `bias` may be null. a_k,
   w_k, b_k, c_k are the strides between members; `packed` holds one packed matrix. */
void products(long K, long rows, long inner, long n, const real *a, long a_k, long lda, const real *w, long w_k,
              long ldw, int transposed, const real *bias, long b_k, real *c, long c_k, long ldc, int add,
              real *packed) {
    for (long k = 0; k < K; k++) {
        pack(inner, n, w + k * w_k, ldw, transposed, packed);
        panels(rows, inner, n, a + k * a_k, lda, packed, bias ? bias + k * b_k : 0, c + k * c_k, ldc, add);
    }
}

static inline __attribute__((always_inline)) void turned(const int rows, const int vectors, long inner, const real *a,
                                                         long lda, const real *g, real *c, long ldc, long columns) {
    vec sum[MR][2];
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = (vec){0};
    for (long i = 0; i < inner; i++, g += NR, a += lda) {
        const vec g0 = *(const vec *)g, g1 = *(const vec *)(g + VL);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            sum[r][0] += a[r] * g0;
            if (vectors == 2) sum[r][1] += a[r] * g1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        real last[2 * (VECTOR_BYTES / sizeof(real))];
        *(vec *)last = sum[r][0];
        if (vectors == 2) *(vec *)(last + VL) = sum[r][1];
        memcpy(c + r * ldc, last, columns * sizeof(real));
    }
}

static inline __attribute__((always_inline)) void turned_panel(const int vectors, long width, long inner, const real *a,
                                                               long lda, const real *g, real *c, long ldc,
                                                               long columns) {
    long r = 0;
    for (; r + MR <= width; r += MR) turned(MR, vectors, inner, a + r, lda, g, c + r * ldc, ldc, columns);
    for (; r + 4 <= width; r += 4) turned(4, vectors, inner, a + r, lda, g, c + r * ldc, ldc, columns);
    for (; r < width; r++) turned(1, vectors, inner, a + r, lda, g, c + r * ldc, ldc, columns);
}

/* For each of K members and each of S matrices: the gradient C [width, n] = A' @ G, with A [inner, width] and one
   G [inner, n] for all, inner being every step of every sequence. A panel of G is packed once and meets all columns of
   all A while it is in the cache. place[6 s ..] holds for matrix s: A, its member stride, its row stride; C likewise. */
void gradients(long K, long inner, long n, const real *g, long g_k, long ldg, long S, const long *width,
               const long *place, real *packed) {
    for (long k = 0; k < K; k++) {
        for (long j = 0; j < n; j += NR) {
            const long columns = n - j < NR ? n - j : NR;
            pack(inner, columns, g + k * g_k + j, ldg, 0, packed);
            for (long s = 0; s < S; s++) {
                const long *at = place + 6 * s, lda = at[2], ldc = at[5];
                const real *a = (const real *)at[0] + k * at[1];
                real *c = (real *)at[3] + k * at[4] + j;
                if (columns > VL)
                    turned_panel(2, width[s], inner, a, lda, packed, c, ldc, columns);
                else
                    turned_panel(1, width[s], inner, a, lda, packed, c, ldc, columns);
            }
        }
    }
}
