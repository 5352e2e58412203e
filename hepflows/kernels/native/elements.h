// The spline by itself: element by element, forward and backward.
#pragma once

#include <algorithm>

#include "products.h"
#include "spline.h"

namespace HEPFLOWS_ISA {

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
