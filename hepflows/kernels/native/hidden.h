// The hidden layers of a fully connected conditioner, a tile of T events at a time: what a tile needs never leaves the cache.
#pragma once

#include <algorithm>

#include "activations.h"
#include "products.h"

namespace HEPFLOWS_ISA {

// Rows of all activations of a network: its input and the units of every hidden layer
static int64_t rows_of(const HeadTask& o) {
  int64_t rows = o.inputs;
  for (int l = 0; l < o.layers; ++l) rows += o.layer[l].units;
  return rows;
}

// What the network takes, for events first .. first + count
HEPFLOWS_INLINE void load_input(const HeadTask& o, int64_t first, int count, float* tile) {
  if (!o.kept) return load_tile(o.h, o.inputs, o.events, first, count, tile);
  for (int64_t i = 0; i < o.inputs; ++i) load_tile(o.x + o.kept_row(i), 1, o.events, first, count, tile + i * T);
}

// From the input at the start of a tile of activations through that many hidden layers; returns where the last of them begins
static float* hidden_forward(const HeadTask& o, int layers, int vectors, float* tile) {
  int64_t below = o.inputs;
  for (int l = 0; l < layers; ++l) {
    const HiddenLayer& layer = o.layer[l];
    float* out = tile + below * T;
    linear(vectors, layer.units, layer.weight, below, below, tile, layer.bias, out, T);
    for (int64_t i = 0; i < layer.units; ++i)
      for (int j = 0; j < vectors; ++j) {
        float* at = out + i * T + j * W;
        store(at, activate(o.activation, load(at)));
      }
    tile = out, below = layer.units;
  }
  return tile;
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

// Where a worker adds up the gradients of the weights
struct Gradients {
  float *weight, *bias, *layer_weight[MAX_LAYERS], *layer_bias[MAX_LAYERS];
};

// From the gradient g of the last hidden activations, (units, T), which is overwritten, to that of the input, which it returns; spare is
// room for two tiles, by_event for one, of the widest layer
static const float* hidden_backward(const HeadTask& o, int events, const float* tile, float* g, float* spare,
                                    float* other_spare, float* by_event, const Gradients& into) {
  const int vectors = vectors_of(events);
  const float* layer_end = tile + rows_of(o) * T;
  for (int l = o.layers - 1; l >= 0; --l) {
    const HiddenLayer& layer = o.layer[l];
    const int64_t below = l ? o.layer[l - 1].units : o.inputs, width = (below + T - 1) / T * T;
    const float *out = layer_end - layer.units * T, *in = out - below * T;
    for (int64_t i = 0; i < layer.units; ++i) {
      V total = set(0.0f);
      for (int j = 0; j < vectors; ++j) {
        float* at = g + i * T + j * W;
        V v = load(at) * derivative(o.activation, load(out + i * T + j * W));
        store(at, v);
        total = total + v;
      }
      into.layer_bias[l][i] += sum(total);
    }
    transpose(in, below, events, T, by_event, width);
    outer(layer.units, below, events, g, T, by_event, width, into.layer_weight[l], below);
    transposed(vectors, true, layer.units, layer.weight, below, below, g, T, spare);
    g = spare;
    std::swap(spare, other_spare);
    layer_end = out;
  }
  return g;
}

}  // namespace HEPFLOWS_ISA
