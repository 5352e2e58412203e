// Activation functions of hidden layers, and their derivatives in terms of what they return.
#pragma once

#include "kernels.h"
#include "spline.h"

namespace HEPFLOWS_ISA {

HEPFLOWS_INLINE V activate(int kind, V x) {
  const V zero = set(0.0f), one = set(1.0f);
  switch (kind) {
    case RELU: return select(ge(zero, x), zero, x);  // NaN stays NaN
    case TANH: {
      // (1 - e) / (1 + e) with e = exp(-2 |x|); near zero, where that cancels, the first terms of the series
      V a = abs(x), e = exp(set(-2.0f) * a), y = (one - e) / (one + e), q = x * x;
      V series = a * fma(q, fma(q, fma(q, set(-17.0f / 315), set(2.0f / 15)), set(-1.0f / 3)), one);
      y = select(ge(set(0.15f), a), series, y);
      return select(ge(x, zero), y, -y);
    }
    case SIGMOID: return sigmoid(x);
    case ELU: {
      // exp(x) - 1 below zero; near zero the series
      V series = x * fma(x, fma(x, fma(x, set(1.0f / 24), set(1.0f / 6)), set(0.5f)), one);
      V y = select(ge(x, set(-0.05f)), series, exp(min(x, zero)) - one);
      return select(ge(zero, x), y, x);
    }
    case LEAKY_RELU: return select(ge(zero, x), x * set(0.01f), x);
    case SILU: return x * sigmoid(x);
    case SOFTPLUS: return softplus(x);
    default: return x;
  }
}

// The derivative where the activation has returned y; SILU has none in these terms
HEPFLOWS_INLINE V derivative(int kind, V y) {
  const V zero = set(0.0f), one = set(1.0f);
  switch (kind) {
    case RELU: return select(ge(zero, y), zero, one);
    case TANH: return fnma(y, y, one);
    case SIGMOID: return fnma(y, y, y);
    case ELU: return select(ge(zero, y), y + one, one);
    case LEAKY_RELU: return select(ge(zero, y), set(0.01f), one);
    case SOFTPLUS: return one - exp(-y);
    default: return one;
  }
}

}  // namespace HEPFLOWS_ISA
