/* The intrinsics of the op table. In float a compiler can turn loops over them into vector code; in double they are those
   of the C library, because the double path is for comparison, not for speed. A NaN stays a NaN. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifndef REAL
#define REAL float
#define IS_FLOAT 1
#endif
typedef REAL real;

#define where(c, a, b) ((c) ? (real)(a) : (real)(b))
#define INLINE static inline __attribute__((always_inline))

/* Before a loop over units: its iterations are independent. */
#ifdef __clang__
#define IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define IVDEP _Pragma("GCC ivdep")
#endif

#ifdef IS_FLOAT

/* exp: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial for e^r (Cephes), and 2^n by the exponent bits. Within 2 ulp. */
INLINE float f_power(float z, float *n) {
    *n = (z * 1.44269504088896341f + 12582912.0f) - 12582912.0f;
    const float r = (z - *n * 0.693359375f) + *n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    return p * r * r + r + 1.0f;
}
INLINE float f_two_to(int32_t n) {
    union { int32_t bits; float value; } u;
    u.bits = (n + 127) << 23;
    return u.value;
}
/* 2^n in two halves, so that the largest results do not overflow on the way; below -87.3 the result is 0. */
INLINE float f_exp(float x) {
    float z = x > 88.8f ? 88.8f : x, n;
    z = z < -87.4f ? -87.4f : z;
    const float p = f_power(z, &n);
    const int32_t whole = (int32_t)n, half = whole >> 1;
    const float y = p * f_two_to(half) * f_two_to(whole - half);
    const float low = x < -87.33f ? 0.0f : y;
    return x > 88.722839f ? INFINITY : low;
}
/* z = n ln 2 + r as above: 2^n, and e^r - 1 within 1 ulp. The rounding constant leaves n + 127 in the last digits, which
   become an exponent. |z| is at most 87. */
INLINE float f_parts(float z, float *two_to_n) {
    const float round = 12582912.0f + 127.0f;
    union { float value; uint32_t bits; } u;
    u.value = z * 1.44269504088896341f + round;
    const float n = u.value - round, r = (z - n * 0.693359375f) + n * 2.12194440e-4f;
    u.bits <<= 23;
    *two_to_n = u.value;
    const float q = r * r;
    const float p = (8.3666467969e-3f * r + 4.1667203920e-2f) + 1.3882497414e-3f * q;
    return (p * q + (1.6666542684e-1f * r + 4.9999998133e-1f)) * q + r;
}
/* Beyond these ends of z the result is constant. */
INLINE float f_sigmoid(float x) {
    float z = -x > 87.0f ? 87.0f : -x, s;
    z = z < -87.0f ? -87.0f : z;
    const float p = f_parts(z, &s);
    return 1.0f / ((p * s + s) + 1.0f);
}
/* (e^2x - 1) / (e^2x + 1), with e^2x - 1 computed without loss of digits near 0. */
INLINE float f_tanh(float x) {
    float z = x > 10.0f ? 10.0f : x, s;
    z = z < -10.0f ? -10.0f : z;
    const float p = f_parts(z + z, &s), e = p * s + (s - 1.0f);
    return e / (e + 2.0f);
}
INLINE float f_log(float x) { return logf(x); }
INLINE float f_log1p(float x) { return log1pf(x); }
INLINE float f_expm1(float x) { return expm1f(x); }
INLINE float f_sqrt(float x) { return sqrtf(x); }
INLINE float f_sin(float x) { return sinf(x); }
INLINE float f_cos(float x) { return cosf(x); }
INLINE float f_erf(float x) { return erff(x); }
INLINE float f_abs(float x) { return fabsf(x); }

#else

INLINE double f_exp(double x) { return exp(x); }
INLINE double f_sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
INLINE double f_tanh(double x) { return tanh(x); }
INLINE double f_log(double x) { return log(x); }
INLINE double f_log1p(double x) { return log1p(x); }
INLINE double f_expm1(double x) { return expm1(x); }
INLINE double f_sqrt(double x) { return sqrt(x); }
INLINE double f_sin(double x) { return sin(x); }
INLINE double f_cos(double x) { return cos(x); }
INLINE double f_erf(double x) { return erf(x); }
INLINE double f_abs(double x) { return fabs(x); }

#endif

/* The remainder of a row of units is computed as a whole strip, on copies: `take` fills the first n < STRIP numbers of a
   strip from a row, `give` copies them back. Otherwise vector code computes a remainder number by number, and the widths
   of a search are mostly odd: with 29 units that was half of the time of a forward loop. */
#define STRIP 16l

#if defined(__AVX512F__) && defined(IS_FLOAT)
typedef float strip __attribute__((vector_size(64)));
typedef float loose_strip __attribute__((vector_size(64), aligned(4), may_alias));
INLINE void take(real *strip_, const real *row, long n) {
    *(loose_strip *)strip_ = __builtin_ia32_loadups512_mask(row, (strip){0}, (unsigned short)((1u << n) - 1));
}
INLINE void give(real *row, const real *strip_, long n) {
    __builtin_ia32_storeups512_mask(row, *(const loose_strip *)strip_, (unsigned short)((1u << n) - 1));
}
#else
INLINE void take(real *to, const real *from, long n) {
    if (n & 8) { memcpy(to, from, 8 * sizeof(real)); to += 8; from += 8; }
    if (n & 4) { memcpy(to, from, 4 * sizeof(real)); to += 4; from += 4; }
    if (n & 2) { memcpy(to, from, 2 * sizeof(real)); to += 2; from += 2; }
    if (n & 1) *to = *from;
}
#define give take
#endif
