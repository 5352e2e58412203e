// The gradients of head.h: a worker takes some of the chunks of events, or some of the features, whichever leaves less to add up.
#pragma once

#include <algorithm>

#include "hidden.h"
#include "products.h"
#include "spline.h"

namespace HEPFLOWS_ISA {

// Tiles of a chunk: a backward pass keeps the activations of a chunk and their gradients in the second cache
static int64_t tiles_of_chunk(int64_t rows) {
  constexpr int64_t cache = 700 << 10, most = 384 / T;
  return std::max<int64_t>(1, std::min(most, cache / static_cast<int64_t>(2 * sizeof(float) * T * std::max<int64_t>(1, rows))));
}

struct Backward {
  const HeadTask& task;
  int workers;
  bool by_event;  // workers share out the chunks of events (else the features)
  int64_t tiles, chunks;
  float* own;     // what each worker but the first adds up by itself, `extra` numbers each
  int64_t extra;
  bool failed;
};

static int64_t count_weights(const HeadTask& o) {
  int64_t count = o.features * o.spline.parameters() * (o.hidden + 1);
  for (int l = 0; l < o.layers; ++l) count += o.layer[l].units * (o.layer[l].below + 1);
  return count;
}

// The gradients of the weights in one piece of memory, or where they belong
static Gradients gradients_at(const HeadTask& o, float* memory) {
  Gradients g{o.gweight, o.gbias, {}, {}};
  auto take = [&memory](float* belongs, int64_t count) {
    float* at = memory ? memory : belongs;
    if (memory) memory += count;
    return at;
  };
  const int64_t rows = o.features * o.spline.parameters();
  g.weight = take(o.gweight, rows * o.hidden);
  g.bias = take(o.gbias, rows);
  for (int l = 0; l < o.layers; ++l) {
    const HiddenLayer& layer = o.layer[l];
    g.layer_weight[l] = take(layer.gweight, layer.units * layer.below);
    g.layer_bias[l] = take(layer.gbias, layer.units);
  }
  return g;
}

struct Chunk {
  int64_t first, tiles, events, width;
  const float* by_event;  // last hidden activations, (events, width)
  float *upstream, *gh;   // of the raw parameters of a group, (rows, tiles T); of the last hidden activations, (tiles, H, T)
};

constexpr int64_t GROUP_ROWS = 128;

// Features from d on that see the same hidden units: their rows are multiplied together
static int64_t group_of(const HeadTask& o, int64_t d) {
  int64_t count = 1;
  while (d + count < o.features && o.sees(d + count) == o.sees(d) && (count + 1) * o.spline.parameters() <= GROUP_ROWS) ++count;
  return count;
}

// Whether the first group of features touches all hidden units, so that their gradients need not start at zero
static bool dense(const HeadTask& o) { return o.sees(0) == o.hidden; }

template <int KB>
static void group_backward(const HeadTask& o, const Chunk& c, int64_t from, int64_t count, const Gradients& into) {
  const int64_t p = o.spline.parameters(), stride = c.tiles * T, rows = count * p, depth = o.sees(from);
  for (int64_t t = 0; t < c.tiles; ++t) {
    const int events = static_cast<int>(std::min<int64_t>(T, c.events - t * T));
    for (int64_t d = from; d < from + count; ++d)
      for (int j = 0; j * W < events; ++j) {
        const int lanes = std::min(W, events - j * W);
        const int64_t n = c.first + t * T + j * W, at = o.row(d) + n;
        float* upstream = c.upstream + (d - from) * p * stride + t * T + j * W;
        V gx = spline_backward<KB>(o.spline, o.raw_at(d, n), RAW_TILE, load(o.x + at, lanes), load(o.gy + at, lanes),
                                   load(o.gladj + n, lanes), upstream, stride);
        store(o.gx + at, gx, lanes);
      }
    transposed(vectors_of(events), from == 0 && dense(o), rows, o.weight + from * p * o.hidden, o.hidden, depth, c.upstream + t * T, stride,
               c.gh + t * o.hidden * T);
  }
  for (int64_t r = 0; r < rows; ++r) {
    V total = set(0.0f);
    int64_t b = 0;
    for (; b + W <= c.events; b += W) total = total + load(c.upstream + r * stride + b);
    if (b < c.events) total = total + load(c.upstream + r * stride + b, static_cast<int>(c.events - b));
    into.bias[from * p + r] += sum(total);
  }
  outer(rows, depth, c.events, c.upstream, stride, c.by_event, c.width, into.weight + from * p * o.hidden, o.hidden);
}

// What is kept passes its gradient on, and gets that of the network's input as well
static void kept_backward(const HeadTask& o, int64_t first, int events, const float* ginputs) {
  for (int64_t i = 0; i < o.keeps; ++i)
    for (int j = 0; j * W < events; ++j) {
      const int lanes = std::min(W, events - j * W);
      const int64_t at = o.kept_row(i) + first + j * W;
      store(o.gx + at, load(o.gy + at, lanes) + load(ginputs + i * T + j * W), lanes);
    }
}

template <int KB>
static void backward_worker(void* context, int worker) {
  Backward& f = *static_cast<Backward*>(context);
  const HeadTask& o = f.task;
  const int64_t width = (o.hidden + T - 1) / T * T, most = (f.tiles + f.chunks - 1) / f.chunks;
  const bool tiled = o.layers || o.keeps;
  const int64_t rows = tiled ? rows_of(o) : 0, p = o.spline.parameters();
  int64_t widest = o.inputs;
  for (int l = 0; l < o.layers; ++l) widest = std::max(widest, o.layer[l].units);
  widest = (widest + T - 1) / T * T;
  const int64_t group_rows = std::max(p, std::min(GROUP_ROWS, o.features * p));
  Scratch by_event(most * T * width), upstream(group_rows * most * T), gh(most * T * o.hidden), tiles(most * rows * T);
  Scratch spare(3 * widest * T), spare_by_event(widest * T);
  if (!by_event.get() || !upstream.get() || !gh.get() || (rows && !tiles.get()) || !spare.get()
      || !spare_by_event.get()) {
    f.failed = true;
    return;
  }
  std::fill(by_event.get(), by_event.get() + most * T * width, 0.0f);
  std::fill(upstream.get(), upstream.get() + group_rows * most * T, 0.0f);
  std::fill(spare_by_event.get(), spare_by_event.get() + widest * T, 0.0f);
  float* own = worker ? f.own + (worker - 1) * f.extra : nullptr;
  const Gradients into = gradients_at(o, f.by_event ? own : nullptr);
  float* ginput = own && !f.by_event ? own : o.gh;
  auto groups = [&f, &o, worker](auto each) {  // those of this worker
    for (int64_t d = 0, group = 0; d < o.features; ++group) {
      const int64_t count = group_of(o, d);
      if (f.by_event || group % f.workers == worker) each(d, count);
      d += count;
    }
  };
  if (!f.by_event)
    groups([&](int64_t d, int64_t count) {
      std::fill(into.weight + d * p * o.hidden, into.weight + (d + count) * p * o.hidden, 0.0f);
    });
  const int64_t from = f.by_event ? f.chunks * worker / f.workers : 0;
  const int64_t to = f.by_event ? f.chunks * (worker + 1) / f.workers : f.chunks;
  for (int64_t i = from; i < to; ++i) {
    Chunk c{};
    c.tiles = f.tiles * (i + 1) / f.chunks - f.tiles * i / f.chunks;
    c.first = f.tiles * i / f.chunks * T;
    c.events = std::min(o.events - c.first, c.tiles * T);
    c.width = width, c.by_event = by_event.get(), c.upstream = upstream.get(), c.gh = gh.get();
    auto count = [&c](int64_t t) { return static_cast<int>(std::min<int64_t>(T, c.events - t * T)); };
    if (tiled) {
      for (int64_t t = 0; t < c.tiles; ++t) {
        float* tile = tiles.get() + t * rows * T;
        load_input(o, c.first + t * T, count(t), tile);
        hidden_forward(o, false, vectors_of(count(t)), tile);
        float* last = last_hidden(o, tile);
        if (o.layers) recall_last(o, c.first + t * T, vectors_of(count(t)), last);
        transpose(last, o.hidden, count(t), T, by_event.get() + t * T * width, width);
      }
    } else {
      transpose(o.h + c.first, o.hidden, c.events, o.events, by_event.get(), width);
    }
    if (!dense(o) || !f.by_event) std::fill(gh.get(), gh.get() + c.tiles * T * o.hidden, 0.0f);
    groups([&](int64_t d, int64_t count) { group_backward<KB>(o, c, d, count, into); });
    for (int64_t t = 0; t < c.tiles; ++t) {
      float* g = gh.get() + t * o.hidden * T;
      const float* ginputs = o.layers ? hidden_backward(o, count(t), tiles.get() + t * rows * T, g, spare.get(), widest,
                                                        spare_by_event.get(), into)
                                      : g;
      kept_backward(o, c.first + t * T, count(t), ginputs);
      store_tile(ginputs + o.keeps * T, o.inputs - o.keeps, ginput, o.events, c.first + t * T, count(t));
    }
  }
}

static void add(float* into, const float* part, int64_t count) {
  for (int64_t i = 0; i < count; ++i) into[i] += part[i];
}

// Apply f(gradient of one weight or bias, that of a worker, numbers) to all of them, or to all but the head's weight
template <typename F>
static void each_gradient(const HeadTask& o, const Gradients& part, bool head_weight, F f) {
  const Gradients into = gradients_at(o, nullptr);
  const int64_t rows = o.features * o.spline.parameters();
  if (head_weight) f(into.weight, part.weight, rows * o.hidden);
  f(into.bias, part.bias, rows);
  for (int l = 0; l < o.layers; ++l) {
    f(into.layer_weight[l], part.layer_weight[l], o.layer[l].units * o.layer[l].below);
    f(into.layer_bias[l], part.layer_bias[l], o.layer[l].units);
  }
}

static int head_backward(const HeadTask& o, int threads) {
  prefer_large_pages(o.gweight, o.features * o.spline.parameters() * o.hidden * sizeof(float));
  auto clear = [](float* into, const float*, int64_t count) { std::fill(into, into + count, 0.0f); };
  if (o.events == 0) {
    each_gradient(o, Gradients{}, true, clear);
    return 0;
  }
  const int64_t tiles = (o.events + T - 1) / T, most_tiles = tiles_of_chunk(o.layers ? rows_of(o) : o.hidden);
  const int64_t chunks = (tiles + most_tiles - 1) / most_tiles;
  const int64_t weights = count_weights(o), activations = o.inputs * o.events;
  const bool by_event = o.layers > 0 || o.keeps > 0 || (chunks >= threads && weights < activations);
  each_gradient(o, Gradients{}, by_event, clear);  // by feature, every worker clears its own part of the head's weight
  const int64_t most = by_event ? chunks : o.features;
  const int workers = static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(threads, most)));
  const int64_t extra = by_event ? weights : activations;
  Scratch own(extra * (workers - 1));
  if (workers > 1 && !own.get()) return 1;
  if (by_event && workers > 1) std::fill(own.get(), own.get() + extra * (workers - 1), 0.0f);
  Backward f{o, workers, by_event, tiles, chunks, own.get(), extra, false};
  parallel(workers, o.spline.bins == 8 ? backward_worker<8> : backward_worker<0>, &f);
  if (f.failed) return 1;
  for (int w = 1; w < workers; ++w) {
    float* part = own.get() + (w - 1) * extra;
    if (by_event)
      each_gradient(o, gradients_at(o, part), true, add);
    else
      add(o.gh, part, activations);
  }
  return 0;
}

}  // namespace HEPFLOWS_ISA
