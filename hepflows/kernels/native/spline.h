// The rational-quadratic spline of W elements at once, and its gradients: the formulas of docs/mathematics.md, in units of the box.
#pragma once

#include "kernels.h"
#include "simd.h"

namespace HEPFLOWS_ISA {

// softplus and its derivative
HEPFLOWS_INLINE V softplus(V u) { return max(u, set(0.0f)) + log1p(exp(-abs(u))); }
HEPFLOWS_INLINE V sigmoid(V u) {
  V e = exp(-abs(u)), one = set(1.0f);
  return select(ge(u, set(0.0f)), one, e) / (one + e);
}

// The bins of W elements, and the one that holds each. KB is the number of bins where it is known at compile time, else 0.
template <int KB>
struct Bins {
  V ew[KB ? KB : MAX_BINS], eh[KB ? KB : MAX_BINS];  // softmax before normalisation
  V over_w, over_h;  // one over their sums
  V index, x0, y0, w, h, u0, u1;  // of the bin that holds the element: its number, corner, sizes and raw derivatives

  HEPFLOWS_INLINE V softmax(const float* raw, long stride, int bins, V* e) {
    V top = load(raw);
    for (int k = 1; k < bins; ++k) top = max(top, load(raw + k * stride));
    V sum = set(0.0f);
    for (int k = 0; k < bins; ++k) {
      e[k] = exp(load(raw + k * stride) - top);
      sum = sum + e[k];
    }
    return sum;
  }

  // t: position in the box, of x or, inverse, of y, from the left edge (0 to 1/2) or, where mirrored, from the right one (-1/2 to 0).
  // Knots are sums of bin sizes from that edge: bins crowd at the edges, and there the sums are small and round little.
  __attribute__((always_inline)) void find(const Spline& s, const float* raw, long stride, V t, M mirrored) {
    const int bins = KB ? KB : s.bins;
    over_w = set(1.0f) / softmax(raw, stride, bins, ew);
    over_h = set(1.0f) / softmax(raw + bins * stride, stride, bins, eh);
    const V scale_w = set(1.0f - bins * s.min_width) * over_w, scale_h = set(1.0f - bins * s.min_height) * over_h;
    const V edge = set(s.edge);
    V sizes_w[KB ? KB : MAX_BINS], sizes_h[KB ? KB : MAX_BINS], from_right_x[KB ? KB : MAX_BINS], from_right_y[KB ? KB : MAX_BINS];
    V right_x = set(0.0f), right_y = set(0.0f);
    for (int k = bins - 1; k >= 0; --k) {
      sizes_w[k] = fma(ew[k], scale_w, set(s.min_width)), sizes_h[k] = fma(eh[k], scale_h, set(s.min_height));
      from_right_x[k] = right_x = right_x - sizes_w[k], from_right_y[k] = right_y = right_y - sizes_h[k];
    }
    const float* inner = raw + 2 * bins * stride;  // derivative at knot 1, or at knot 0 where the edges are free
    V from_left_x = set(0.0f), from_left_y = set(0.0f), left_u = edge;
    if (s.free_edges) {
      left_u = load(inner);
      inner += stride;
    }
    for (int k = 0; k < bins; ++k) {
      V left_x = select(mirrored, from_right_x[k], from_left_x), left_y = select(mirrored, from_right_y[k], from_left_y);
      V right_u = k == bins - 1 && !s.free_edges ? edge : load(inner + k * stride);
      if (k == 0) {
        index = set(0.0f), x0 = left_x, y0 = left_y, w = sizes_w[0], h = sizes_h[0], u0 = left_u, u1 = right_u;
      } else {
        M here = ge(t, s.inverse ? left_y : left_x);
        index = select(here, set(static_cast<float>(k)), index);
        x0 = select(here, left_x, x0), w = select(here, sizes_w[k], w);
        y0 = select(here, left_y, y0), h = select(here, sizes_h[k], h);
        u0 = select(here, left_u, u0), u1 = select(here, right_u, u1);
      }
      from_left_x = from_left_x + sizes_w[k], from_left_y = from_left_y + sizes_h[k], left_u = right_u;
    }
  }
};

// Where W elements stand: in the box or not (NaN is not), and how far from which of its edges
struct Place {
  M inside, mirrored;
  V edge, size, t;

  HEPFLOWS_INLINE Place find(const Spline& s, V x) {
    Place p;
    V low = set(s.low), high = set(s.high), middle = set(0.5f * s.low + 0.5f * s.high);
    p.inside = both(ge(x, low), ge(high, x));
    x = select(p.inside, x, middle);  // harmless outside
    p.mirrored = ge(x, middle);
    p.edge = select(p.mirrored, high, low), p.size = set(s.high - s.low);
    p.t = (x - p.edge) / p.size;
    return p;
  }
};

// The map inside one bin: theta is the position in it
struct Bin {
  V s, d0, d1, curvature, theta, v, denominator, numerator, slope, inverse_denominator, ratio;

  template <int KB>
  HEPFLOWS_INLINE void evaluate(Bin& b, const Spline& o, const Bins<KB>& bins, V t) {
    const V one = set(1.0f), zero = set(0.0f);
    b.s = bins.h / bins.w;
    b.d0 = set(o.min_derivative) + softplus(bins.u0);
    b.d1 = set(o.min_derivative) + softplus(bins.u1);
    b.curvature = b.d0 + b.d1 - b.s - b.s;
    if (o.inverse) {
      // the root of the quadratic that does not cancel, whichever sign its linear term has
      V e = t - bins.y0;
      V p = fma(bins.h, b.s - b.d0, e * b.curvature), q = fnma(e, b.curvature, bins.h * b.d0), c = -b.s * e;
      V root = sqrt(max(fnma(set(4.0f) * p, c, q * q), zero));
      M positive = ge(q, zero);
      V m = set(-0.5f) * (q + select(positive, root, -root));
      V over = select(positive, m, p);
      b.theta = select(positive, c, m) / select(eq(over, zero), one, over);
    } else {
      b.theta = (t - bins.x0) / bins.w;
    }
    b.theta = min(max(b.theta, zero), one);
    V rest = one - b.theta;
    b.v = b.theta * rest;
    b.denominator = fma(b.curvature, b.v, b.s);
    b.numerator = fma(b.s * b.theta, b.theta, b.d0 * b.v);
    b.slope = fma(b.d1 * b.theta, b.theta, fma(set(2.0f) * b.s, b.v, b.d0 * rest * rest));
    b.inverse_denominator = one / b.denominator;
    V part = b.s * b.inverse_denominator;
    b.ratio = part * part * b.slope;  // dy/dx
  }
};

// W elements: x to y and log dy/dx, or back where s.inverse
template <int KB>
HEPFLOWS_INLINE void spline(const Spline& s, const float* raw, long stride, V x, V& y, V& ladj) {
  const Place place = Place::find(s, x);
  Bins<KB> bins;
  bins.find(s, raw, stride, place.t, place.mirrored);
  Bin b;
  Bin::evaluate(b, s, bins, place.t);
  V out = s.inverse ? fma(bins.w, b.theta, bins.x0) : fma(bins.h, b.numerator * b.inverse_denominator, bins.y0);
  V log_ratio = log(b.ratio);
  y = select(place.inside, fma(out, place.size, place.edge), x);
  ladj = select(place.inside, s.inverse ? -log_ratio : log_ratio, set(0.0f));
}

// Gradients of W elements: upstream gy, gl; returns that of x and writes those of the raw parameters, which may overwrite raw
template <int KB>
HEPFLOWS_INLINE V spline_backward(
    const Spline& s, const float* raw, long stride, V x, V gy, V gl, float* out, long out_stride) {
  const V one = set(1.0f), two = set(2.0f), zero = set(0.0f);
  const int count = KB ? KB : s.bins;
  const Place place = Place::find(s, x);
  const M inside = place.inside;
  const V size = place.size;
  Bins<KB> bins;
  bins.find(s, raw, stride, place.t, place.mirrored);
  Bin b;
  Bin::evaluate(b, s, bins, place.t);
  V gin = select(inside, gy * size, zero), g_l = select(inside, gl, zero);
  V inverse_slope = one / b.slope, inverse_w = one / bins.w, straight = one - two * b.v, bend = one - two * b.theta;
  V rest = one - b.theta, id = b.inverse_denominator;
  // d log(dy/dx) / d theta
  V l_theta = two * (b.d1 * b.theta + b.s * bend - b.d0 * rest) * inverse_slope - two * b.curvature * bend * id;
  V gx = gin;
  if (s.inverse) {
    // the parameters at fixed x see -g; log dx/dy is -log dy/dx
    gx = fnma(g_l * l_theta, inverse_w, gin) / b.ratio;
    gin = -gx, g_l = -g_l;
  }
  V g_theta = gin * bins.w * b.ratio + g_l * l_theta;
  V scaled = gin * bins.h * id * id;
  V g_s = scaled * (b.theta * b.theta * b.denominator - b.numerator * straight)
      + g_l * two * (one / b.s + b.v * inverse_slope - straight * id);
  V g_d0 = scaled * b.v * (b.denominator - b.numerator) + g_l * (rest * rest * inverse_slope - two * b.v * id);
  V g_d1 = -scaled * b.v * b.numerator + g_l * (b.theta * b.theta * inverse_slope - two * b.v * id);
  V g_x0 = -g_theta * inverse_w;
  V g_w = -(b.theta * g_theta + b.s * g_s) * inverse_w, g_h = gin * b.numerator * id + g_s * inverse_w;
  V g_u0 = g_d0 * sigmoid(bins.u0), g_u1 = g_d1 * sigmoid(bins.u1);
  if (!s.inverse) gx = -g_x0;
  // softmax: bins before the one that holds the element move its corner, that bin itself its size
  V mean_w = zero, mean_h = zero;
  for (int k = 0; k < count; ++k) {
    V at = set(static_cast<float>(k));
    M before = ge(bins.index, at + one), here = eq(bins.index, at);
    mean_w = fma(bins.ew[k], select(before, g_x0, select(here, g_w, zero)), mean_w);
    mean_h = fma(bins.eh[k], select(before, gin, select(here, g_h, zero)), mean_h);
  }
  mean_w = mean_w * bins.over_w, mean_h = mean_h * bins.over_h;
  V scale_w = set(1.0f - count * s.min_width) * bins.over_w, scale_h = set(1.0f - count * s.min_height) * bins.over_h;
  for (int k = 0; k < count; ++k) {
    V at = set(static_cast<float>(k));
    M before = ge(bins.index, at + one), here = eq(bins.index, at);
    V a = select(before, g_x0, select(here, g_w, zero)), c = select(before, gin, select(here, g_h, zero));
    store(out + k * out_stride, scale_w * bins.ew[k] * (a - mean_w));
    store(out + (count + k) * out_stride, scale_h * bins.eh[k] * (c - mean_h));
  }
  float* inner = out + 2 * count * out_stride;
  const int shift = s.free_edges ? 0 : 1;  // the first stored derivative belongs to this knot
  for (int k = shift; k <= count - shift; ++k) {
    V at = set(static_cast<float>(k));
    store(inner + (k - shift) * out_stride,
          select(eq(bins.index, at), g_u0, select(eq(bins.index + one, at), g_u1, zero)));
  }
  return select(inside, gx / size, gy);
}

}  // namespace HEPFLOWS_ISA
