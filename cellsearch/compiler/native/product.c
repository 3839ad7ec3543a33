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

static inline __attribute__((always_inline)) void block(const int rows, long inner, const real *a, long lda,
                                                        const real *w, real *c, long ldc, long columns, int add) {
    vec sum[MR][2];
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = (vec){0};
    for (long i = 0; i < inner; i++, w += NR) {
        const vec w0 = *(const vec *)w, w1 = *(const vec *)(w + VL);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const real x = a[r * lda + i];
            sum[r][0] += x * w0;
            sum[r][1] += x * w1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        real *to = c + r * ldc;
        if (columns == NR) {
            if (add) {
                *(vec *)to += sum[r][0];
                *(vec *)(to + VL) += sum[r][1];
            } else {
                *(vec *)to = sum[r][0];
                *(vec *)(to + VL) = sum[r][1];
            }
        } else {
            real last[2 * (VECTOR_BYTES / sizeof(real))];
            *(vec *)last = sum[r][0];
            *(vec *)(last + VL) = sum[r][1];
            for (long j = 0; j < columns; j++) to[j] = add ? to[j] + last[j] : last[j];
        }
    }
}

void product(long rows, long inner, long n, const real *a, long lda, const real *packed, real *c, long ldc, int add) {
    for (long j = 0; j < n; j += NR, packed += inner * NR) {
        const long columns = n - j < NR ? n - j : NR;
        long r = 0;
        for (; r + MR <= rows; r += MR)
            block(MR, inner, a + r * lda, lda, packed, c + r * ldc + j, ldc, columns, add);
        for (; r + 4 <= rows; r += 4)
            block(4, inner, a + r * lda, lda, packed, c + r * ldc + j, ldc, columns, add);
        for (; r < rows; r++) block(1, inner, a + r * lda, lda, packed, c + r * ldc + j, ldc, columns, add);
    }
}

/* For each of K members: C (+)= A @ W, or A @ W' where W is stored [n, inner]. a_k, w_k, c_k are the strides between
   members; `packed` holds one packed matrix. */
void products(long K, long rows, long inner, long n, const real *a, long a_k, long lda, const real *w, long w_k,
              long ldw, int transposed, real *c, long c_k, long ldc, int add, real *packed) {
    for (long k = 0; k < K; k++) {
        pack(inner, n, w + k * w_k, ldw, transposed, packed);
        product(rows, inner, n, a + k * a_k, lda, packed, c + k * c_k, ldc, add);
    }
}

static inline __attribute__((always_inline)) void turned(const int rows, long inner, const real *a, long lda,
                                                         const real *g, real *c, long ldc, long columns) {
    vec sum[MR][2];
    for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = (vec){0};
    for (long i = 0; i < inner; i++, g += NR, a += lda) {
        const vec g0 = *(const vec *)g, g1 = *(const vec *)(g + VL);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            sum[r][0] += a[r] * g0;
            sum[r][1] += a[r] * g1;
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        real last[2 * (VECTOR_BYTES / sizeof(real))];
        *(vec *)last = sum[r][0];
        *(vec *)(last + VL) = sum[r][1];
        memcpy(c + r * ldc, last, columns * sizeof(real));
    }
}

/* For each of K members: the gradient of a matrix, C [width, n] = A' @ G with A [inner, width] and G [inner, n], inner
   being every step of every sequence. A panel of G is packed once and meets all columns of A while it is in the cache. */
void gradients(long K, long inner, long width, long n, const real *a, long a_k, long lda, const real *g, long g_k,
               long ldg, real *c, long c_k, long ldc, real *packed) {
    for (long k = 0; k < K; k++) {
        const real *ak = a + k * a_k, *gk = g + k * g_k;
        real *ck = c + k * c_k;
        for (long j = 0; j < n; j += NR) {
            const long columns = n - j < NR ? n - j : NR;
            pack(inner, columns, gk + j, ldg, 0, packed);
            long r = 0;
            for (; r + MR <= width; r += MR) turned(MR, inner, ak + r, lda, packed, ck + r * ldc + j, ldc, columns);
            for (; r + 4 <= width; r += 4) turned(4, inner, ak + r, lda, packed, ck + r * ldc + j, ldc, columns);
            for (; r < width; r++) turned(1, inner, ak + r, lda, packed, ck + r * ldc + j, ldc, columns);
        }
    }
}
