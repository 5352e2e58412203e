// A fully connected network below a head. A tile holds its input and then the units of every layer.
#pragma once

#include <utility>

#include "layers.h"

namespace HEPFLOWS_ISA {

static int64_t plain_rows(const HeadTask& o) {
  int64_t rows = o.inputs;
  for (int l = 0; l < o.layers; ++l) rows += o.layer[l].units;
  return rows;
}

// From the input at the start of a tile to the last hidden units at its end, or to what these take
static void plain_forward(const HeadTask& o, bool to_the_end, int vectors, float* tile) {
  for (int l = 0; l < o.layers - (to_the_end ? 0 : 1); ++l) {
    const HiddenLayer& layer = o.layer[l];
    float* out = tile + layer.below * T;
    layer_forward(layer, vectors, tile, out);
    each_vector(layer.units, vectors, [&](int64_t at) { store(out + at, activate(o.activation, load(out + at))); });
    tile = out;
  }
}

// From the gradient g of the last hidden units, (units, T), which is overwritten, to that of the input, which is returned; in spare there
// is room for three tiles, in by_event for one, of the widest layer
static const float* plain_backward(const HeadTask& o, int events, const float* tile, float* g, float* spare, int64_t widest,
                                   float* by_event, const Gradients& into) {
  const int vectors = vectors_of(events);
  const float* end = tile + plain_rows(o) * T;
  float* other = spare + widest * T;
  for (int l = o.layers - 1; l >= 0; --l) {
    const HiddenLayer& layer = o.layer[l];
    const float* out = end - layer.units * T;
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
    layer_backward(layer, events, out - layer.below * T, g, by_event, into.layer_weight[l], true, spare);
    g = spare;
    std::swap(spare, other);
    end = out;
  }
  return g;
}

}  // namespace HEPFLOWS_ISA
