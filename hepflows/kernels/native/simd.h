// A vector of floats and what the kernels do with it: AVX-512, AVX2, or whatever 4 lanes the compiler makes (SSE2, NEON).
// Each instruction set is compiled by itself (kernels.cpp, with its flags), everything in a namespace of its own.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#define HEPFLOWS_INLINE static inline __attribute__((always_inline))

namespace HEPFLOWS_ISA {

#if defined(__AVX512F__)

constexpr int W = 16, MR = 8, NV = 3;  // lanes; rows and vectors of a block of a product: MR * NV + NV + 1 registers
using V = __m512;
using M = __mmask16;
HEPFLOWS_INLINE V set(float x) { return _mm512_set1_ps(x); }
HEPFLOWS_INLINE V load(const float* p) { return _mm512_loadu_ps(p); }
HEPFLOWS_INLINE void store(float* p, V x) { _mm512_storeu_ps(p, x); }
HEPFLOWS_INLINE M first(int n) { return static_cast<M>((1u << n) - 1u); }
HEPFLOWS_INLINE V load(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
HEPFLOWS_INLINE void store(float* p, V x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }
HEPFLOWS_INLINE V fma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
HEPFLOWS_INLINE V fnma(V a, V b, V c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
HEPFLOWS_INLINE V max(V a, V b) { return _mm512_max_ps(a, b); }
HEPFLOWS_INLINE V min(V a, V b) { return _mm512_min_ps(a, b); }
HEPFLOWS_INLINE V sqrt(V a) { return _mm512_sqrt_ps(a); }
HEPFLOWS_INLINE V abs(V a) { return _mm512_abs_ps(a); }
HEPFLOWS_INLINE M ge(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
HEPFLOWS_INLINE M eq(V a, V b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
HEPFLOWS_INLINE M both(M a, M b) { return a & b; }
HEPFLOWS_INLINE V select(M m, V a, V b) { return _mm512_mask_blend_ps(m, b, a); }
HEPFLOWS_INLINE V round(V a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
HEPFLOWS_INLINE V scale2(V a, V n) { return _mm512_scalef_ps(a, n); }  // a 2^n
HEPFLOWS_INLINE V exponent(V a) { return _mm512_getexp_ps(a); }
HEPFLOWS_INLINE V mantissa(V a) { return _mm512_getmant_ps(a, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src); }
HEPFLOWS_INLINE float sum(V a) { return _mm512_reduce_add_ps(a); }

#elif defined(__AVX2__)

constexpr int W = 8, MR = 4, NV = 3;
using V = __m256;
using M = __m256;
HEPFLOWS_INLINE V set(float x) { return _mm256_set1_ps(x); }
HEPFLOWS_INLINE V load(const float* p) { return _mm256_loadu_ps(p); }
HEPFLOWS_INLINE void store(float* p, V x) { _mm256_storeu_ps(p, x); }
HEPFLOWS_INLINE __m256i first(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
HEPFLOWS_INLINE V load(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
HEPFLOWS_INLINE void store(float* p, V x, int n) { _mm256_maskstore_ps(p, first(n), x); }
HEPFLOWS_INLINE V fma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
HEPFLOWS_INLINE V fnma(V a, V b, V c) { return _mm256_fnmadd_ps(a, b, c); }
HEPFLOWS_INLINE V max(V a, V b) { return _mm256_max_ps(a, b); }
HEPFLOWS_INLINE V min(V a, V b) { return _mm256_min_ps(a, b); }
HEPFLOWS_INLINE V sqrt(V a) { return _mm256_sqrt_ps(a); }
HEPFLOWS_INLINE V abs(V a) { return _mm256_andnot_ps(set(-0.0f), a); }
HEPFLOWS_INLINE M ge(V a, V b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
HEPFLOWS_INLINE M eq(V a, V b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
HEPFLOWS_INLINE M both(M a, M b) { return _mm256_and_ps(a, b); }
HEPFLOWS_INLINE V select(M m, V a, V b) { return _mm256_blendv_ps(b, a, m); }
HEPFLOWS_INLINE V round(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
HEPFLOWS_INLINE V scale2(V a, V n) {
  __m256i bits = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
  return a * _mm256_castsi256_ps(bits);
}
HEPFLOWS_INLINE V exponent(V a) {
  __m256i bits = _mm256_srli_epi32(_mm256_castps_si256(a), 23);
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(255)), _mm256_set1_epi32(127)));
}
HEPFLOWS_INLINE V mantissa(V a) {
  __m256i bits = _mm256_and_si256(_mm256_castps_si256(a), _mm256_set1_epi32(0x007fffff));
  return _mm256_castsi256_ps(_mm256_or_si256(bits, _mm256_set1_epi32(0x3f800000)));
}
HEPFLOWS_INLINE float sum(V a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

#else

constexpr int W = 4, MR = 4, NV = 2;
typedef float V __attribute__((vector_size(16)));
typedef int32_t M __attribute__((vector_size(16)));
HEPFLOWS_INLINE V set(float x) { return V{x, x, x, x}; }
HEPFLOWS_INLINE V load(const float* p) { V x; std::memcpy(&x, p, sizeof x); return x; }
HEPFLOWS_INLINE void store(float* p, V x) { std::memcpy(p, &x, sizeof x); }
HEPFLOWS_INLINE V load(const float* p, int n) { V x = set(0); std::memcpy(&x, p, sizeof(float) * n); return x; }
HEPFLOWS_INLINE void store(float* p, V x, int n) { std::memcpy(p, &x, sizeof(float) * n); }
HEPFLOWS_INLINE V fma(V a, V b, V c) { return a * b + c; }
HEPFLOWS_INLINE V fnma(V a, V b, V c) { return c - a * b; }
HEPFLOWS_INLINE V select(M m, V a, V b) { return (V)((m & (M)a) | (~m & (M)b)); }
HEPFLOWS_INLINE M ge(V a, V b) { return a >= b; }
HEPFLOWS_INLINE M eq(V a, V b) { return a == b; }
HEPFLOWS_INLINE M both(M a, M b) { return a & b; }
HEPFLOWS_INLINE V max(V a, V b) { return select(a > b, a, b); }
HEPFLOWS_INLINE V min(V a, V b) { return select(a < b, a, b); }
HEPFLOWS_INLINE V sqrt(V a) { return V{std::sqrt(a[0]), std::sqrt(a[1]), std::sqrt(a[2]), std::sqrt(a[3])}; }
HEPFLOWS_INLINE V abs(V a) { return (V)((M)a & 0x7fffffff); }
HEPFLOWS_INLINE V round(V a) { return (a + 12582912.0f) - 12582912.0f; }  // to the nearest integer, |a| < 2^22
HEPFLOWS_INLINE V scale2(V a, V n) { return a * (V)((__builtin_convertvector(n, M) + 127) << 23); }
HEPFLOWS_INLINE V exponent(V a) { return __builtin_convertvector((((M)a >> 23) & 255) - 127, V); }
HEPFLOWS_INLINE V mantissa(V a) { return (V)(((M)a & 0x007fffff) | 0x3f800000); }
HEPFLOWS_INLINE float sum(V a) { return (a[0] + a[1]) + (a[2] + a[3]); }

#endif

constexpr int T = W * NV;  // events of a tile

#if defined(__AVX512F__)

constexpr int B = 16;
// Transpose 16 x 16 numbers: pairs within four, fours within sixteen, then the four quarters
HEPFLOWS_INLINE void transpose_block(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  V x[16], y[16];
  for (int i = 0; i < 16; ++i) x[i] = load(in + i * in_stride);
  for (int i = 0; i < 16; i += 4) {
    V a = _mm512_unpacklo_ps(x[i], x[i + 1]), b = _mm512_unpackhi_ps(x[i], x[i + 1]);
    V c = _mm512_unpacklo_ps(x[i + 2], x[i + 3]), d = _mm512_unpackhi_ps(x[i + 2], x[i + 3]);
    y[i] = _mm512_shuffle_ps(a, c, 0x44), y[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
    y[i + 2] = _mm512_shuffle_ps(b, d, 0x44), y[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
  }
  for (int i = 0; i < 4; ++i) {  // y[4 q + i] holds events i, 4 + i, 8 + i, 12 + i of rows 4 q .. 4 q + 3
    V a = _mm512_shuffle_f32x4(y[i], y[i + 4], 0x88), b = _mm512_shuffle_f32x4(y[i], y[i + 4], 0xdd);
    V c = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0x88), d = _mm512_shuffle_f32x4(y[i + 8], y[i + 12], 0xdd);
    store(out + i * out_stride, _mm512_shuffle_f32x4(a, c, 0x88));
    store(out + (4 + i) * out_stride, _mm512_shuffle_f32x4(b, d, 0x88));
    store(out + (8 + i) * out_stride, _mm512_shuffle_f32x4(a, c, 0xdd));
    store(out + (12 + i) * out_stride, _mm512_shuffle_f32x4(b, d, 0xdd));
  }
}

#else

constexpr int B = 4;
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE __builtin_shufflevector
#else  // GCC 11 and older
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Places{__VA_ARGS__})
#endif
HEPFLOWS_INLINE void transpose_block(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  typedef float Four __attribute__((vector_size(16)));
  [[maybe_unused]] typedef int32_t Places __attribute__((vector_size(16)));
  Four x[4];
  for (int i = 0; i < 4; ++i) std::memcpy(&x[i], in + i * in_stride, sizeof(Four));
  Four p = SHUFFLE(x[0], x[1], 0, 4, 1, 5), q = SHUFFLE(x[0], x[1], 2, 6, 3, 7);
  Four r = SHUFFLE(x[2], x[3], 0, 4, 1, 5), s = SHUFFLE(x[2], x[3], 2, 6, 3, 7);
  x[0] = SHUFFLE(p, r, 0, 1, 4, 5), x[1] = SHUFFLE(p, r, 2, 3, 6, 7);
  x[2] = SHUFFLE(q, s, 0, 1, 4, 5), x[3] = SHUFFLE(q, s, 2, 3, 6, 7);
  for (int i = 0; i < 4; ++i) std::memcpy(out + i * out_stride, &x[i], sizeof(Four));
}

#endif

// exp, to about one unit in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, then 1 + r + r^2 p(r), p of least relative error
HEPFLOWS_INLINE V exp(V x) {
  x = min(set(88.0f), max(set(-87.0f), x));  // in this order NaN stays NaN
  V n = round(x * set(1.44269504088896341f));
#if defined(__FMA__) || defined(__AVX512F__)
  V r = fnma(n, set(0.693147182f), x);  // exact but for the 2e-9 that are missing from ln 2
#else
  V r = fnma(n, set(-2.12194440e-4f), fnma(n, set(0.693359375f), x));
#endif
  V p = set(1.3814612984e-3f);
  p = fma(p, r, set(8.3687098426e-3f));
  p = fma(p, r, set(4.1668387367e-2f));
  p = fma(p, r, set(1.6666520690e-1f));
  p = fma(p, r, set(4.9999993452e-1f));
  return scale2(fma(p, r * r, r) + set(1.0f), n);
}

// log of a positive normal number, to about one unit in the last place: x = 2^n m with m in [sqrt(1/2), sqrt(2)]
HEPFLOWS_INLINE V log(V x) {
  V n = exponent(x), m = mantissa(x);
  M large = ge(m, set(1.41421356f));
  m = select(large, m * set(0.5f), m) - set(1.0f);
  n = select(large, n + set(1.0f), n);
  V p = set(7.0376836292e-2f);
  p = fma(p, m, set(-1.1514610310e-1f));
  p = fma(p, m, set(1.1676998740e-1f));
  p = fma(p, m, set(-1.2420140846e-1f));
  p = fma(p, m, set(1.4249322787e-1f));
  p = fma(p, m, set(-1.6668057665e-1f));
  p = fma(p, m, set(2.0000714765e-1f));
  p = fma(p, m, set(-2.4999993993e-1f));
  p = fma(p, m, set(3.3333331174e-1f));
  V square = m * m;
  V y = p * m * square;
  y = fma(n, set(-2.12194440e-4f), y);
  y = fnma(square, set(0.5f), y);
  return fma(n, set(0.693359375f), m + y) + (x - x);  // NaN and infinity give NaN
}

// log(1 + x) for 0 <= x <= 1, without losing a small x: what u = 1 + x has rounded off, c, comes back as c / u, for which
// c (3 - u) / 2 is near enough, c being at most half a unit of u in the last place
HEPFLOWS_INLINE V log1p(V x) {
  V u = set(1.0f) + x, c = x - (u - set(1.0f));
  return fma(c, fnma(set(0.5f), u, set(1.5f)), log(u));
}

}  // namespace HEPFLOWS_ISA
