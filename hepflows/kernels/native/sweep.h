// The exact inverse of a masked autoregressive map: one sweep over the features, a tile of T events at a time.
// The reference, with the reasons, is hepflows/kernels/masked_inverse.py.
#pragma once

#include <algorithm>

#include "activations.h"
#include "products.h"
#include "spline.h"

namespace HEPFLOWS_ISA {

struct Sweep {
  const SweepTask& task;
  int workers;
  int64_t tiles;
  int vectors;  // of a tile
  bool failed;
};

// What a worker knows of the tile at hand
struct Known {
  float *x, *raw, *row;
  float *input[MAX_LAYERS + 1], *plain[MAX_LAYERS];
};

// Hidden units done .. done + count of one layer, for `vectors` vectors of events
HEPFLOWS_INLINE void settle(const SweepTask& o, const Known& known, int l, int64_t done, int64_t count, int64_t below,
                            int64_t depth, int64_t first, int events, int vectors) {
  const Layer& layer = o.layer[l];
  const bool last = l + 1 == o.layers;
  float* out = known.input[l + 1] + (done + (last ? o.given : 0)) * T;
  linear(vectors, count, layer.weight + done * below, below, depth, known.input[l], layer.bias + done, out, T);
  const bool skip = o.residual && l % 2 == 0;
  const int kind = last && o.residual ? IDENTITY : o.activation;
  for (int64_t i = 0; i < count; ++i)
    for (int j = 0; j < vectors; ++j) {
      V v = load(out + i * T + j * W);
      if (layer.term)
        v = v + load(layer.term + (done + i) * o.events + first + j * W, std::min(W, events - j * W));
      if (skip) {
        if (l) v = v + load(known.plain[l - 2] + (done + i) * T + j * W);
        store(known.plain[l] + (done + i) * T + j * W, v);
      }
      store(out + i * T + j * W, activate(kind, v));
    }
}

template <int KB>
static void invert_tile(const SweepTask& o, const Known& known, int64_t first, int events) {
  const int vectors = vectors_of(events);
  const int64_t p = o.spline.parameters();
  const Layer& top = o.layer[o.layers - 1];
  const int64_t width = o.given + top.units;
  int64_t done[MAX_LAYERS] = {};
  V ladj[NV];
  for (V& sum : ladj) sum = set(0.0f);
  if (o.given) load_tile(o.units, o.given, o.events, first, events, known.input[o.layers]);
  for (int64_t d = 0; d < o.features; ++d) {
    int64_t depth = d, below = o.features;
    for (int l = 0; l < o.layers; ++l) {
      const int64_t seen = std::max(done[l], o.layer[l].sees(d));
      if (seen > done[l]) settle(o, known, l, done[l], seen - done[l], below, depth, first, events, vectors);
      done[l] = depth = seen;
      below = o.layer[l].units;
    }
    linear(vectors, p, o.weight + d * p * width, width, o.given + depth, known.input[o.layers], o.bias + d * p, known.raw, T);
    for (int j = 0; j < vectors; ++j) {
      const int lanes = std::min(W, events - j * W);
      const int64_t at = d * o.events + first + j * W;
      V x, l;
      spline<KB>(o.spline, known.raw + j * W, T, load(o.z + at, lanes), x, l);
      store(known.x + d * T + j * W, x);
      store(o.x + at, x, lanes);
      ladj[j] = ladj[j] + l;
    }
  }
  for (int j = 0; j < vectors; ++j) store(o.ladj + first + j * W, ladj[j], std::min(W, events - j * W));
}

template <int KB>
static void sweep_worker(void* context, int worker) {
  Sweep& f = *static_cast<Sweep*>(context);
  const SweepTask& o = f.task;
  int64_t rows = o.features + o.spline.parameters() + o.given;
  for (int l = 0; l < o.layers; ++l) rows += o.layer[l].units * (o.residual ? 2 : 1);
  Scratch memory(rows * T);
  if (!memory.get()) {
    f.failed = true;
    return;
  }
  Known known{};
  float* free = memory.get();
  auto take = [&free](int64_t count) { float* at = free; free += count * T; return at; };
  known.x = known.input[0] = take(o.features);
  known.raw = take(o.spline.parameters());
  for (int l = 0; l < o.layers; ++l) {
    known.input[l + 1] = take(o.layer[l].units + (l + 1 == o.layers ? o.given : 0));
    if (o.residual) known.plain[l] = take(o.layer[l].units);
  }
  for (int64_t t = f.tiles * worker / f.workers; t < f.tiles * (worker + 1) / f.workers; ++t) {
    const int64_t first = t * f.vectors * W;
    invert_tile<KB>(o, known, first, static_cast<int>(std::min<int64_t>(f.vectors * W, o.events - first)));
  }
}

static int sweep(const SweepTask& o, int threads) {
  if (!o.events) return 0;
  // no more than T events a tile, and as even as can be among the threads
  const int64_t vectors = (o.events + W - 1) / W;
  const int64_t tiles = std::max<int64_t>((vectors + NV - 1) / NV, std::min<int64_t>(threads, vectors));
  Sweep f{o, static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, tiles))), 0,
          static_cast<int>((vectors + tiles - 1) / std::max<int64_t>(1, tiles)), false};
  f.tiles = f.vectors ? (vectors + f.vectors - 1) / f.vectors : 0;
  parallel(f.workers, o.spline.bins == 8 ? sweep_worker<8> : sweep_worker<0>, &f);
  return f.failed;
}

}  // namespace HEPFLOWS_ISA
