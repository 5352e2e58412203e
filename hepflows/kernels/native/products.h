// Products of a weight matrix with a tile of T events: sums stay in registers, MR rows and up to NV vectors at a time.
#pragma once

#include "simd.h"

namespace HEPFLOWS_ISA {

// out[r, :] = start[r, :] + weight[r, :depth] tile[:depth, :] for R rows and N vectors of the tile
template <int R, int N>
HEPFLOWS_INLINE void block(
    const float* weight, int64_t weight_stride, int64_t depth, const float* tile, V (&sums)[R][N]) {
  for (int64_t k = 0; k < depth; ++k) {
    V in[N];
    for (int j = 0; j < N; ++j) in[j] = load(tile + k * T + j * W);
    for (int r = 0; r < R; ++r) {
      V w = set(weight[r * weight_stride + k]);
      for (int j = 0; j < N; ++j) sums[r][j] = fma(w, in[j], sums[r][j]);
    }
  }
}

template <int R, int N>
HEPFLOWS_INLINE void rows(const float* weight, int64_t weight_stride, int64_t depth, const float* tile, const float* bias,
                          float* out, int64_t out_stride) {
  V sums[R][N];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < N; ++j) sums[r][j] = set(bias[r]);
  // One or two rows are too few sums to hide the latency of one: the depth in strands. The order of a sum must depend on the rows
  // alone, not on how many events stand beside: the result for an event is the same in every batch.
  constexpr int S = R == 1 ? 4 : R == 2 ? 2 : 1;
  if constexpr (S > 1) {
    V more[S - 1][R][N];
    for (auto& strand : more)
      for (auto& row : strand)
        for (V& sum : row) sum = set(0.0f);
    const int64_t part = depth / S;
    for (int64_t k = 0; k < part; ++k) {
      for (int r = 0; r < R; ++r) {
        const float* w = weight + r * weight_stride + k;
        for (int j = 0; j < N; ++j) {
          const float* in = tile + k * T + j * W;
          sums[r][j] = fma(set(w[0]), load(in), sums[r][j]);
          for (int q = 1; q < S; ++q)
            more[q - 1][r][j] = fma(set(w[q * part]), load(in + q * part * T), more[q - 1][r][j]);
        }
      }
    }
    block<R, N>(weight + S * part, weight_stride, depth - S * part, tile + S * part * T, sums);
    for (int r = 0; r < R; ++r)
      for (int j = 0; j < N; ++j) {
        if constexpr (S == 4) more[0][r][j] = more[0][r][j] + (more[1][r][j] + more[2][r][j]);
        sums[r][j] = sums[r][j] + more[0][r][j];
      }
  } else {
    block<R, N>(weight, weight_stride, depth, tile, sums);
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < N; ++j) store(out + r * out_stride + j * W, sums[r][j]);
}

// out[:count, :] = bias + weight[:count, :depth] tile[:depth, :], N vectors of the tile
template <int N>
static void linear(int64_t count, const float* weight, int64_t weight_stride, int64_t depth, const float* tile,
                   const float* bias, float* out, int64_t out_stride) {
  int64_t r = 0;
  for (; r + MR <= count; r += MR)
    rows<MR, N>(weight + r * weight_stride, weight_stride, depth, tile, bias + r, out + r * out_stride, out_stride);
  weight += r * weight_stride, bias += r, out += r * out_stride;
  switch (count - r) {
    case 7: return rows<7, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    case 6: return rows<6, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    case 5: return rows<5, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    case 4: return rows<4, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    case 3: return rows<3, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    case 2: return rows<2, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    case 1: return rows<1, N>(weight, weight_stride, depth, tile, bias, out, out_stride);
    default: return;
  }
}

HEPFLOWS_INLINE void linear(int vectors, int64_t count, const float* weight, int64_t weight_stride, int64_t depth,
                            const float* tile, const float* bias, float* out, int64_t out_stride) {
  if (NV > 2 && vectors > 2) return linear<NV>(count, weight, weight_stride, depth, tile, bias, out, out_stride);
  if (vectors == 2) return linear<2>(count, weight, weight_stride, depth, tile, bias, out, out_stride);
  return linear<1>(count, weight, weight_stride, depth, tile, bias, out, out_stride);
}

// tile[k, :] += sum over r of weight[r, k] in[r, :], for k = 0 .. depth - 1: R values of k and N vectors at a time; a fresh tile
// starts at zero, whatever it holds
template <int R, int N>
HEPFLOWS_INLINE void spread(bool fresh, int64_t count, const float* weight, int64_t weight_stride, const float* in,
                            int64_t in_stride, float* tile) {
  V sums[R][N];
  for (int i = 0; i < R; ++i)
    for (int j = 0; j < N; ++j) sums[i][j] = fresh ? set(0.0f) : load(tile + i * T + j * W);
  for (int64_t r = 0; r < count; ++r) {
    V v[N];
    for (int j = 0; j < N; ++j) v[j] = load(in + r * in_stride + j * W);
    for (int i = 0; i < R; ++i) {
      V w = set(weight[r * weight_stride + i]);
      for (int j = 0; j < N; ++j) sums[i][j] = fma(w, v[j], sums[i][j]);
    }
  }
  for (int i = 0; i < R; ++i)
    for (int j = 0; j < N; ++j) store(tile + i * T + j * W, sums[i][j]);
}

template <int N>
static void transposed(bool fresh, int64_t count, const float* weight, int64_t weight_stride, int64_t depth, const float* in,
                       int64_t in_stride, float* tile) {
  int64_t k = 0;
  for (; k + MR <= depth; k += MR) spread<MR, N>(fresh, count, weight + k, weight_stride, in, in_stride, tile + k * T);
  for (; k < depth; ++k) spread<1, N>(fresh, count, weight + k, weight_stride, in, in_stride, tile + k * T);
}

HEPFLOWS_INLINE void transposed(int vectors, bool fresh, int64_t count, const float* weight, int64_t weight_stride, int64_t depth,
                                const float* in, int64_t in_stride, float* tile) {
  if (NV > 2 && vectors > 2) return transposed<NV>(fresh, count, weight, weight_stride, depth, in, in_stride, tile);
  if (vectors == 2) return transposed<2>(fresh, count, weight, weight_stride, depth, in, in_stride, tile);
  return transposed<1>(fresh, count, weight, weight_stride, depth, in, in_stride, tile);
}

// out[r, :width] += sum over events b of a[r, b] by_event[b, :width], R rows and N vectors of the width
template <int R, int N>
HEPFLOWS_INLINE void outer_block(int64_t events, const float* a, int64_t a_stride, const float* by_event,
                                 int64_t event_stride, float* out, int64_t out_stride, int tail) {
  V sums[R][N];
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < N; ++j) sums[r][j] = set(0.0f);
  for (int64_t b = 0; b < events; ++b) {
    V in[N];
    for (int j = 0; j < N; ++j) in[j] = load(by_event + b * event_stride + j * W);
    for (int r = 0; r < R; ++r) {
      V v = set(a[r * a_stride + b]);
      for (int j = 0; j < N; ++j) sums[r][j] = fma(v, in[j], sums[r][j]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int j = 0; j < N; ++j) {
      float* target = out + r * out_stride + j * W;
      if (j < N - 1 || tail == W)
        store(target, load(target) + sums[r][j]);
      else
        store(target, load(target, tail) + sums[r][j], tail);
    }
}

template <int R>
HEPFLOWS_INLINE void outer_rows(int64_t width, int64_t events, const float* a, int64_t a_stride, const float* by_event,
                                int64_t event_stride, float* out, int64_t out_stride) {
  int64_t k = 0;
  for (; width - k > 2 * W; k += NV * W) {
    int tail = width - k >= NV * W ? W : static_cast<int>(width - k - (NV - 1) * W);
    outer_block<R, NV>(events, a, a_stride, by_event + k, event_stride, out + k, out_stride, tail);
  }
  if (width - k > W)
    outer_block<R, 2>(events, a, a_stride, by_event + k, event_stride, out + k, out_stride, static_cast<int>(width - k - W));
  else if (width > k)
    outer_block<R, 1>(events, a, a_stride, by_event + k, event_stride, out + k, out_stride, static_cast<int>(width - k));
}

// by_event has its rows padded to a multiple of T: what lies beyond width is read, never used
static void outer(int64_t count, int64_t width, int64_t events, const float* a, int64_t a_stride, const float* by_event,
                  int64_t event_stride, float* out, int64_t out_stride) {
  int64_t r = 0;
  for (; r + MR <= count; r += MR)
    outer_rows<MR>(width, events, a + r * a_stride, a_stride, by_event, event_stride, out + r * out_stride, out_stride);
  a += r * a_stride, out += r * out_stride;
  switch (count - r) {
    case 7: return outer_rows<7>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    case 6: return outer_rows<6>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    case 5: return outer_rows<5>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    case 4: return outer_rows<4>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    case 3: return outer_rows<3>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    case 2: return outer_rows<2>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    case 1: return outer_rows<1>(width, events, a, a_stride, by_event, event_stride, out, out_stride);
    default: return;
  }
}

// Events first .. first + count of a (rows, N) matrix as a tile, zeros behind them
HEPFLOWS_INLINE void load_tile(const float* matrix, int64_t rows, int64_t stride, int64_t first, int count, float* tile) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* from = matrix + r * stride + first;
    float* to = tile + r * T;
    for (int j = 0; j < NV; ++j) {
      int left = count - j * W;
      store(to + j * W, left >= W ? load(from + j * W) : left > 0 ? load(from + j * W, left) : set(0.0f));
    }
  }
}

HEPFLOWS_INLINE void store_tile(const float* tile, int64_t rows, float* matrix, int64_t stride, int64_t first, int count) {
  for (int64_t r = 0; r < rows; ++r)
    for (int j = 0; j < NV && j * W < count; ++j) {
      int left = count - j * W;
      store(matrix + r * stride + first + j * W, load(tile + r * T + j * W), left >= W ? W : left);
    }
}

// out[b, k] = in[k, b], a block of B rows and B events (registers) at a time, its edges one by one
static void transpose(const float* in, int64_t rows, int64_t events, int64_t in_stride, float* out, int64_t out_stride) {
  int64_t b = 0;
  for (; b + B <= events; b += B) {
    int64_t k = 0;
    for (; k + B <= rows; k += B) transpose_block(in + k * in_stride + b, in_stride, out + b * out_stride + k, out_stride);
    for (; k < rows; ++k)
      for (int64_t i = b; i < b + B; ++i) out[i * out_stride + k] = in[k * in_stride + i];
  }
  for (; b < events; ++b)
    for (int64_t k = 0; k < rows; ++k) out[b * out_stride + k] = in[k * in_stride + b];
}

HEPFLOWS_INLINE int vectors_of(int count) { return (count + W - 1) / W; }

}  // namespace HEPFLOWS_ISA
