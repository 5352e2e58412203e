// The last linear layer of a conditioner and the spline that it parametrises, forward and backward in one sweep over memory.
#pragma once

#include <algorithm>

#include "products.h"
#include "spline.h"

namespace HEPFLOWS_ISA {

static_assert(RAW_TILE % T == 0, "a tile must not cross a block of saved parameters");

// Tiles of a chunk: a backward pass keeps its hidden activations and their gradients in the second cache
static int64_t tiles_of_chunk(int64_t hidden) {
  constexpr int64_t cache = 700 << 10, most = 384 / T;
  return std::max<int64_t>(1, std::min(most, cache / static_cast<int64_t>(2 * sizeof(float) * T * std::max<int64_t>(1, hidden))));
}

// ---- forward: work is cut into (tile, range of features); each range adds its own part of ladj

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
    float* out = o.raw ? o.raw_at(d, first) : raw;
    const int64_t stride = o.raw ? RAW_TILE : T;
    linear(vectors, p, o.weight + d * p * o.hidden, o.hidden, o.sees(d), tile, o.bias + d * p, out, stride);
    for (int j = 0; j < vectors; ++j) {
      const int lanes = std::min(W, count - j * W);
      const int64_t at = d * o.events + first + j * W;
      V y, l;
      spline<KB>(o.spline, out + j * W, stride, load(o.x + at, lanes), y, l);
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
  Scratch tile(o.hidden * T), raw(o.spline.parameters() * T);
  if (!tile.get() || !raw.get()) {
    f.failed = true;
    return;
  }
  int64_t loaded = -1;
  const int64_t pieces = f.tiles * f.ranges;
  for (int64_t piece = pieces * worker / f.workers; piece < pieces * (worker + 1) / f.workers; ++piece) {
    const int64_t tile_index = piece / f.ranges, range = piece % f.ranges;
    if (tile_index != loaded) {
      const int64_t first = tile_index * T;
      load_tile(o.h, o.hidden, o.events, first, static_cast<int>(std::min<int64_t>(T, o.events - first)), tile.get());
      loaded = tile_index;
    }
    const int64_t from = range * f.per_range, to = std::min(o.features, from + f.per_range);
    forward_piece<KB>(o, tile_index, from, to, tile.get(), raw.get(), f.partial + range * o.events);
  }
}

static int head(const HeadTask& o, int threads) {
  const int64_t tiles = (o.events + T - 1) / T;
  const int64_t per_range = std::max<int64_t>(1, std::min<int64_t>(64, o.features));
  const int64_t ranges = (o.features + per_range - 1) / per_range;
  Scratch partial(ranges > 1 ? ranges * o.events : 0);
  if (ranges > 1 && !partial.get()) return 1;
  const int64_t blocks = (o.events + RAW_TILE - 1) / RAW_TILE;
  prefer_large_pages(o.raw, o.features * blocks * o.spline.parameters() * RAW_TILE * sizeof(float));
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

// ---- backward: a worker takes some of the chunks of events, or some of the features, whichever leaves less to add up

struct Backward {
  const HeadTask& task;
  int workers;
  bool by_event;  // workers share out the chunks of events (else the features)
  int64_t tiles, chunks;
  float *gweight[MAX_WORKERS], *gbias[MAX_WORKERS], *gh[MAX_WORKERS];  // of each worker
  bool failed;
};

template <int KB>
static void backward_chunk(const HeadTask& o, int64_t first_tile, int64_t tiles, int64_t feature, int64_t feature_step,
                           const float* by_event, int64_t width, float* upstream, float* gweight, float* gbias, float* gh) {
  const int64_t p = o.spline.parameters(), stride = tiles * T, first = first_tile * T;
  const int64_t events = std::min(o.events - first, stride);
  for (int64_t d = feature; d < o.features; d += feature_step) {
    const float* weight = o.weight + d * p * o.hidden;
    for (int64_t t = 0; t < tiles; ++t) {
      const int count = static_cast<int>(std::min<int64_t>(T, events - t * T));
      for (int j = 0; j * W < count; ++j) {
        const int lanes = std::min(W, count - j * W);
        const int64_t n = first + t * T + j * W, at = d * o.events + n;
        V gx = spline_backward<KB>(o.spline, o.raw_at(d, n), RAW_TILE, load(o.x + at, lanes),
                                   load(o.gy + at, lanes), load(o.gladj + n, lanes), upstream + t * T + j * W, stride);
        store(o.gx + at, gx, lanes);
      }
      transposed(vectors_of(count), p, weight, o.hidden, o.sees(d), upstream + t * T, stride, gh + t * o.hidden * T);
    }
    for (int64_t r = 0; r < p; ++r) {
      V sum_of = set(0.0f);
      int64_t b = 0;
      for (; b + W <= events; b += W) sum_of = sum_of + load(upstream + r * stride + b);
      if (b < events) sum_of = sum_of + load(upstream + r * stride + b, static_cast<int>(events - b));
      gbias[d * p + r] += sum(sum_of);
    }
    outer(p, o.sees(d), events, upstream, stride, by_event, width, gweight + d * p * o.hidden, o.hidden);
  }
}

template <int KB>
static void backward_worker(void* context, int worker) {
  Backward& f = *static_cast<Backward*>(context);
  const HeadTask& o = f.task;
  const int64_t width = (o.hidden + T - 1) / T * T, chunk = (f.tiles + f.chunks - 1) / f.chunks * T;
  Scratch by_event(chunk * width), upstream(o.spline.parameters() * chunk), gh(chunk * o.hidden);
  if (!by_event.get() || !upstream.get() || !gh.get()) {
    f.failed = true;
    return;
  }
  std::fill(by_event.get(), by_event.get() + chunk * width, 0.0f);
  std::fill(upstream.get(), upstream.get() + o.spline.parameters() * chunk, 0.0f);
  const int64_t from = f.by_event ? f.chunks * worker / f.workers : 0;
  const int64_t to = f.by_event ? f.chunks * (worker + 1) / f.workers : f.chunks;
  for (int64_t c = from; c < to; ++c) {
    const int64_t first_tile = f.tiles * c / f.chunks, tiles = f.tiles * (c + 1) / f.chunks - first_tile;
    const int64_t first = first_tile * T, events = std::min(o.events - first, tiles * T);
    transpose(o.h + first, o.hidden, events, o.events, by_event.get(), width);
    std::fill(gh.get(), gh.get() + tiles * T * o.hidden, 0.0f);
    backward_chunk<KB>(o, first_tile, tiles, f.by_event ? 0 : worker, f.by_event ? 1 : f.workers, by_event.get(), width,
                       upstream.get(), f.gweight[worker], f.gbias[worker], gh.get());
    for (int64_t t = 0; t < tiles; ++t)
      store_tile(gh.get() + t * o.hidden * T, o.hidden, f.gh[worker], o.events, first + t * T,
                 static_cast<int>(std::min<int64_t>(T, events - t * T)));
  }
}

static void add_up(float* into, float* const* parts, int workers, int64_t count) {
  for (int w = 1; w < workers; ++w)
    if (parts[w] != into)
      for (int64_t i = 0; i < count; ++i) into[i] += parts[w][i];
}

static int head_backward(const HeadTask& o, int threads) {
  const int64_t tiles = (o.events + T - 1) / T, most_tiles = tiles_of_chunk(o.hidden);
  const int64_t chunks = std::max<int64_t>(1, (tiles + most_tiles - 1) / most_tiles);
  const int64_t rows = o.features * o.spline.parameters(), weights = rows * o.hidden;
  const bool by_event = chunks >= threads && weights < o.events * o.hidden;
  const int64_t most = by_event ? chunks : o.features;
  const int workers = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(std::min(threads, MAX_WORKERS), most)));
  Backward f{o, workers, by_event, tiles, chunks, {}, {}, {}, false};
  prefer_large_pages(o.gweight, weights * sizeof(float));
  std::fill(o.gweight, o.gweight + weights, 0.0f);
  std::fill(o.gbias, o.gbias + rows, 0.0f);
  const int64_t extra = by_event ? weights + rows : o.hidden * o.events;
  Scratch spare(extra * (workers - 1));
  if (workers > 1 && !spare.get()) return 1;
  if (by_event && workers > 1) std::fill(spare.get(), spare.get() + extra * (workers - 1), 0.0f);
  for (int w = 0; w < workers; ++w) {
    float* own = w ? spare.get() + (w - 1) * extra : nullptr;
    f.gweight[w] = own && by_event ? own : o.gweight;
    f.gbias[w] = own && by_event ? own + weights : o.gbias;
    f.gh[w] = own && !by_event ? own : o.gh;
  }
  parallel(workers, o.spline.bins == 8 ? backward_worker<8> : backward_worker<0>, &f);
  if (f.failed) return 1;
  add_up(o.gweight, f.gweight, workers, weights);
  add_up(o.gbias, f.gbias, workers, rows);
  add_up(o.gh, f.gh, workers, o.hidden * o.events);
  return 0;
}

// ---- the spline by itself

struct Elements {
  const SplineTask& task;
  int workers;
};

template <int KB>
static void spline_worker(void* context, int worker) {
  const Elements& f = *static_cast<Elements*>(context);
  const SplineTask& o = f.task;
  const int64_t p = o.spline.parameters(), vectors = (o.columns + W - 1) / W, all = o.rows * vectors;
  Scratch scratch(p * W);
  float* edge = scratch.get();
  for (int64_t i = all * worker / f.workers; i < all * (worker + 1) / f.workers; ++i) {
    const int64_t row = i / vectors, column = i % vectors * W, at = row * o.columns + column;
    const int lanes = static_cast<int>(std::min<int64_t>(W, o.columns - column));
    const float* raw = o.raw + row * p * o.columns + column;
    int64_t stride = o.columns;
    if (lanes < W) {  // the last vector of a row: a copy, so that nothing is read behind the end
      for (int64_t k = 0; k < p; ++k) store(edge + k * W, load(raw + k * stride, lanes));
      raw = edge, stride = W;
    }
    if (o.graw) {
      float* out = lanes < W ? edge : o.graw + row * p * o.columns + column;
      V gx = spline_backward<KB>(o.spline, raw, stride, load(o.x + at, lanes), load(o.gy + at, lanes),
                                 load(o.gladj + at, lanes), out, lanes < W ? W : o.columns);
      store(o.gx + at, gx, lanes);
      if (lanes < W)
        for (int64_t k = 0; k < p; ++k)
          store(o.graw + row * p * o.columns + k * o.columns + column, load(edge + k * W), lanes);
    } else {
      V y, l;
      spline<KB>(o.spline, raw, stride, load(o.x + at, lanes), y, l);
      store(o.y + at, y, lanes);
      store(o.ladj + at, l, lanes);
    }
  }
}

static int spline_elements(const SplineTask& o, int threads) {
  const int64_t all = o.rows * ((o.columns + W - 1) / W);
  if (o.graw) prefer_large_pages(o.graw, o.rows * o.columns * o.spline.parameters() * sizeof(float));
  Elements f{o, static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, all / 64 + 1)))};
  parallel(f.workers, o.spline.bins == 8 ? spline_worker<8> : spline_worker<0>, &f);
  return 0;
}

}  // namespace HEPFLOWS_ISA
