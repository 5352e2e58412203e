// The last linear layer of a conditioner and the spline that it parametrises, with the hidden layers below where those are plain.
#pragma once

#include <algorithm>

#include "hidden.h"
#include "products.h"
#include "spline.h"

namespace HEPFLOWS_ISA {

static_assert(RAW_TILE % W == 0, "a vector must not cross a block of saved parameters");

// Work is cut into (tile, range of features); each range adds its own part of ladj

struct Forward {
  const HeadTask& task;
  int64_t tiles, ranges, per_range;
  float* partial;  // (ranges, N)
  int workers;
  bool failed;
};

template <int KB>
static void forward_piece(const HeadTask& o, int64_t tile_index, int64_t from, int64_t to, float* tile, float* raw,
                          float* ladj) {
  const int64_t first = tile_index * T, p = o.spline.parameters();
  const int count = static_cast<int>(std::min<int64_t>(T, o.events - first)), vectors = vectors_of(count);
  V sums[NV];
  for (V& sum : sums) sum = set(0.0f);
  for (int64_t d = from; d < to; ++d) {
    linear(vectors, p, o.weight + d * p * o.hidden, o.hidden, o.sees(d), tile, o.bias + d * p, raw, T);
    for (int j = 0; j < vectors; ++j) {
      const int lanes = std::min(W, count - j * W);
      const int64_t at = o.row(d) + first + j * W;
      if (o.raw) {
        float* keep = o.raw_at(d, first + j * W);
        for (int64_t k = 0; k < p; ++k) store(keep + k * RAW_TILE, load(raw + k * T + j * W));
      }
      V y, l;
      spline<KB>(o.spline, raw + j * W, T, load(o.x + at, lanes), y, l);
      store(o.y + at, y, lanes);
      sums[j] = sums[j] + l;
    }
  }
  for (int j = 0; j < vectors; ++j) store(ladj + first + j * W, sums[j], std::min(W, count - j * W));
}

template <int KB>
static void forward_worker(void* context, int worker) {
  Forward& f = *static_cast<Forward*>(context);
  const HeadTask& o = f.task;
  Scratch tile(rows_of(o) * T), raw(o.spline.parameters() * T);
  if (!tile.get() || !raw.get()) {
    f.failed = true;
    return;
  }
  int64_t loaded = -1;
  float* last = last_hidden(o, tile.get());
  const int64_t pieces = f.tiles * f.ranges;
  for (int64_t piece = pieces * worker / f.workers; piece < pieces * (worker + 1) / f.workers; ++piece) {
    const int64_t tile_index = piece / f.ranges, range = piece % f.ranges;
    if (tile_index != loaded) {
      const int64_t first = tile_index * T;
      const int count = static_cast<int>(std::min<int64_t>(T, o.events - first));
      load_input(o, first, count, tile.get());
      hidden_forward(o, true, vectors_of(count), tile.get());
      if (range == 0) {
        if (o.last) keep_last(o, first, vectors_of(count), last);
        for (int64_t i = 0; i < o.keeps; ++i)
          store_tile(tile.get() + i * T, 1, o.y + o.kept_row(i), o.events, first, count);
      }
      loaded = tile_index;
    }
    const int64_t from = range * f.per_range, to = std::min(o.features, from + f.per_range);
    forward_piece<KB>(o, tile_index, from, to, last, raw.get(), f.partial + range * o.events);
  }
}

static int head(const HeadTask& o, int threads) {
  const int64_t tiles = (o.events + T - 1) / T;
  const int64_t per_range = std::max<int64_t>(1, std::min<int64_t>(64, o.features));
  const int64_t ranges = (o.features + per_range - 1) / per_range;
  Scratch partial(ranges > 1 ? ranges * o.events : 0);
  if (ranges > 1 && !partial.get()) return 1;
  const int64_t blocks = (o.events + RAW_TILE - 1) / RAW_TILE;
  if (o.raw) prefer_large_pages(o.raw, o.features * blocks * o.spline.parameters() * RAW_TILE * sizeof(float));
  const int workers = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, tiles * ranges)));
  Forward f{o, tiles, ranges, per_range, ranges > 1 ? partial.get() : o.ladj, workers, false};
  parallel(workers, o.spline.bins == 8 ? forward_worker<8> : forward_worker<0>, &f);
  if (f.failed) return 1;
  if (ranges > 1) {
    std::copy(f.partial, f.partial + o.events, o.ladj);
    for (int64_t r = 1; r < ranges; ++r)
      for (int64_t n = 0; n < o.events; ++n) o.ladj[n] += f.partial[r * o.events + n];
  }
  return 0;
}


}  // namespace HEPFLOWS_ISA
