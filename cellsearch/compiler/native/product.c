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
