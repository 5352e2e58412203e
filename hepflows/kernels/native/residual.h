// A residual network below a head (arXiv:1906.04032): u = W x + b, and in each block u += t with t = W2 a(W1 a(u) + b1) + b2, or
// u += t sigmoid(V c + v) where a context c, the last rows of the input, gates it. The last hidden units are u.
// A tile holds the input; of each block a(u), a(W1 a(u) + b1), and if it is gated t and the gate; room for a t that is not kept; and u.
#pragma once

#include "layers.h"

namespace HEPFLOWS_ISA {

static bool gated(const HeadTask& o) { return o.block == 3; }

static int64_t residual_rows(const HeadTask& o) {
  const int64_t blocks = (o.layers - 1) / o.block;
  return o.inputs + o.hidden * (blocks * (gated(o) ? 4 : 2) + 2);
}

// Rows of the context at the end of the input
static const float* gating(const HeadTask& o, int l, const float* tile) { return tile + (o.inputs - o.layer[l + 2].below) * T; }

// From the input at the start of a tile to u at its end, or as far as the backward pass needs where it has that u
static void residual_forward(const HeadTask& o, bool to_the_end, int vectors, float* tile) {
  const int64_t step = o.hidden * T;
  float *u = tile + (residual_rows(o) - o.hidden) * T, *at = tile + o.inputs * T;
  layer_forward(o.layer[0], vectors, tile, u);
  for (int l = 1; l < o.layers; l += o.block) {
    float *active = at, *inside = at + step, *t = at + 2 * step, *gate = at + 3 * step;
    each_vector(o.hidden, vectors, [&](int64_t i) { store(active + i, activate(o.activation, load(u + i))); });
    layer_forward(o.layer[l], vectors, active, inside);
    each_vector(o.hidden, vectors, [&](int64_t i) { store(inside + i, activate(o.activation, load(inside + i))); });
    if (!gated(o) && !to_the_end && l + o.block == o.layers) return;
    layer_forward(o.layer[l + 1], vectors, inside, t);
    if (gated(o)) {
      layer_forward(o.layer[l + 2], vectors, gating(o, l, tile), gate);
      each_vector(o.hidden, vectors, [&](int64_t i) {
        V open = sigmoid(load(gate + i));
        store(gate + i, open);
        store(u + i, fma(load(t + i), open, load(u + i)));
      });
      at += 4 * step;
    } else {
      each_vector(o.hidden, vectors, [&](int64_t i) { store(u + i, load(u + i) + load(t + i)); });
      at += 2 * step;
    }
  }
}

static void add_sums(int64_t rows, int vectors, const float* g, float* into) {
  for (int64_t i = 0; i < rows; ++i) {
    V total = set(0.0f);
    for (int j = 0; j < vectors; ++j) total = total + load(g + i * T + j * W);
    into[i] += sum(total);
  }
}

// From the gradient g of u, which is overwritten, to that of the input, which is returned; spare and by_event as in plain_backward
static const float* residual_backward(const HeadTask& o, int events, const float* tile, float* g, float* spare, int64_t widest,
                                      float* by_event, const Gradients& into) {
  const int vectors = vectors_of(events);
  const int64_t step = o.hidden * T;
  float *one = spare, *two = spare + widest * T, *ginput = spare + 2 * widest * T;
  const float* end = tile + (residual_rows(o) - 2 * o.hidden) * T;  // of the last block
  auto back = [&](int l, const float* in, const float* gout, bool fresh, float* gin) {
    add_sums(o.layer[l].units, vectors, gout, into.layer_bias[l]);
    layer_backward(o.layer[l], events, in, gout, by_event, into.layer_weight[l], fresh, gin);
  };
  each_vector(o.inputs, vectors, [&](int64_t i) { store(ginput + i, set(0.0f)); });
  for (int l = o.layers - o.block; l >= 1; l -= o.block) {
    const float *active = end - (gated(o) ? 4 : 2) * step, *inside = active + step, *t = inside + step, *gate = t + step;
    const float* gt = g;
    if (gated(o)) {
      each_vector(o.hidden, vectors, [&](int64_t i) {
        V v = load(g + i), open = load(gate + i), through = v * open;
        store(one + i, through);
        store(two + i, through * load(t + i) * (set(1.0f) - open));
      });
      back(l + 2, gating(o, l, tile), two, false, ginput + (o.inputs - o.layer[l + 2].below) * T);
      gt = one;
    }
    back(l + 1, inside, gt, true, two);
    each_vector(o.hidden, vectors, [&](int64_t i) {
      store(two + i, load(two + i) * derivative(o.activation, load(inside + i)));
    });
    back(l, active, two, true, one);
    each_vector(o.hidden, vectors, [&](int64_t i) {
      store(g + i, fma(load(one + i), derivative(o.activation, load(active + i)), load(g + i)));
    });
    end = active;
  }
  back(0, tile, g, false, ginput);
  return ginput;
}

}  // namespace HEPFLOWS_ISA
