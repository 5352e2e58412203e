// The hidden layers of a conditioner below a head: those of a fully connected network, or of a residual one.
#pragma once

#include "plain.h"
#include "residual.h"

namespace HEPFLOWS_ISA {

// Rows of a tile: the input at its start, the last hidden units at its end
static int64_t rows_of(const HeadTask& o) { return o.block ? residual_rows(o) : plain_rows(o); }

static float* last_hidden(const HeadTask& o, float* tile) { return tile + (rows_of(o) - (o.layers ? o.hidden : o.inputs)) * T; }

static void hidden_forward(const HeadTask& o, bool to_the_end, int vectors, float* tile) {
  return o.block ? residual_forward(o, to_the_end, vectors, tile) : plain_forward(o, to_the_end, vectors, tile);
}

static const float* hidden_backward(const HeadTask& o, int events, const float* tile, float* g, float* spare, int64_t widest,
                                    float* by_event, const Gradients& into) {
  return o.block ? residual_backward(o, events, tile, g, spare, widest, by_event, into)
                 : plain_backward(o, events, tile, g, spare, widest, by_event, into);
}

}  // namespace HEPFLOWS_ISA
