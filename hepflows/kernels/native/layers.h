// What the networks below a head have in common: a tile of T events at a time, so that what a tile needs never leaves the cache.
#pragma once

#include <algorithm>

#include "activations.h"
#include "products.h"

namespace HEPFLOWS_ISA {

// What the network takes, for events first .. first + count
HEPFLOWS_INLINE void load_input(const HeadTask& o, int64_t first, int count, float* tile) {
  for (int64_t i = 0; i < o.keeps; ++i) load_tile(o.x + o.kept_row(i), 1, o.events, first, count, tile + i * T);
  load_tile(o.h, o.inputs - o.keeps, o.events, first, count, tile + o.keeps * T);
}

// The last hidden units of a tile into the memory that is kept for the backward pass, or back from it
HEPFLOWS_INLINE void keep_last(const HeadTask& o, int64_t first, int vectors, const float* tile) {
  for (int j = 0; j < vectors; ++j)
    for (int64_t i = 0; i < o.hidden; ++i) store(o.last_at(first + j * W) + i * RAW_TILE, load(tile + i * T + j * W));
}

HEPFLOWS_INLINE void recall_last(const HeadTask& o, int64_t first, int vectors, float* tile) {
  for (int j = 0; j < vectors; ++j)
    for (int64_t i = 0; i < o.hidden; ++i) store(tile + i * T + j * W, load(o.last_at(first + j * W) + i * RAW_TILE));
}

HEPFLOWS_INLINE void layer_forward(const HiddenLayer& layer, int vectors, const float* in, float* out) {
  linear(vectors, layer.units, layer.weight, layer.below, layer.below, in, layer.bias, out, T);
}

// Where a worker adds up the gradients of the weights
struct Gradients {
  float *weight, *bias, *layer_weight[MAX_LAYERS], *layer_bias[MAX_LAYERS];
};

// From the gradient g of what a layer returns: that of its weight is added up, that of what it took is written to gin, or added where
// it is not fresh
static void layer_backward(const HiddenLayer& layer, int events, const float* in, const float* g, float* by_event, float* gweight,
                           bool fresh, float* gin) {
  const int64_t width = (layer.below + T - 1) / T * T;
  transpose(in, layer.below, events, T, by_event, width);
  outer(layer.units, layer.below, events, g, T, by_event, width, gweight, layer.below);
  transposed(vectors_of(events), fresh, layer.units, layer.weight, layer.below, layer.below, g, T, gin);
}

// f(numbers at that place of a matrix of tiles) for all rows and vectors
template <typename F>
HEPFLOWS_INLINE void each_vector(int64_t rows, int vectors, F f) {
  for (int64_t i = 0; i < rows; ++i)
    for (int j = 0; j < vectors; ++j) f(i * T + j * W);
}

}  // namespace HEPFLOWS_ISA
