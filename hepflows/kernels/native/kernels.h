// What the kernels take. Plain C structures of pointers and sizes: nothing here knows Python or torch.
// Matrices are row-major float32; of tensors with events, events are the last axis.
#pragma once

#include <cstdint>

// A function that stayed a symbol of its own would be shared by the objects of all instruction sets, and the linker might take
// the one that this processor cannot run: what stands in this file is inlined, and the rest lies in a namespace of its set.
#define HEPFLOWS_ALWAYS __attribute__((always_inline))

constexpr int MAX_BINS = 64, MAX_LAYERS = 64;
constexpr int RAW_TILE = 16;  // events of a block of saved parameters: a multiple of every kernel's vector

enum Activation { IDENTITY, RELU, TANH, SIGMOID, ELU, LEAKY_RELU, SILU, SOFTPLUS };

struct Spline {  // a rational-quadratic spline; minima in units of the box
  int bins, free_edges, inverse;
  float low, high, min_width, min_height, min_derivative;
  float edge;  // the raw derivative of exactly one
  HEPFLOWS_ALWAYS int parameters() const { return 3 * bins + (free_edges ? 1 : -1); }
};

struct SplineTask {  // rows x columns elements; raw parameters (rows, P, columns)
  Spline spline;
  int64_t rows, columns;
  const float *x, *raw;
  float *y, *ladj;                 // forward
  const float *gy, *gladj;         // backward: upstream
  float *gx, *graw;
};

// A count that came as data must not lead out of bounds
HEPFLOWS_ALWAYS inline int64_t within(int64_t count, int64_t most) { return count < 0 ? 0 : count > most ? most : count; }

struct HiddenLayer {
  int64_t units, below;
  const float *weight, *bias;  // (units, below), (units)
  float *gweight, *gbias;      // backward
};

struct HeadTask {  // last linear layer of a conditioner and the spline that it parametrises
  Spline spline;
  int64_t features, inputs, hidden, events;  // inputs: kept rows and rows of h; the last hidden units where there are no layers
  int layers, activation;                    // hidden layers computed here, below the last linear one
  int block;                                 // how many of them make a residual block, see residual.h; 0 where they are plain.h
  HiddenLayer layer[MAX_LAYERS];
  const float *x, *h, *weight, *bias;        // (D, N), (inputs - keeps, N), (D P, H), (D P)
  const int32_t* seen;                       // (D): how many of the hidden units each feature sees; read through sees
  // A coupling, where these are not null: x, y, gy, gx have more rows; the D mapped ones, and the kept ones, which the network takes
  // before the rows of h and which pass unchanged. Read through row
  const int32_t *mapped, *kept;
  int64_t rows, keeps;                       // of x; how many of them are kept
  float *raw;                                // (D, blocks, P, RAW_TILE): kept for the backward pass, or null
  float *last;                               // (blocks, H, RAW_TILE): likewise, the last hidden units, where there are layers
  float *y, *ladj;                           // (D, N), (N)
  const float *gy, *gladj;                   // (D, N), (N)
  float *gx, *gh, *gweight, *gbias;

  HEPFLOWS_ALWAYS int64_t sees(int64_t feature) const { return within(seen[feature], hidden); }

  // Where a row of x, y, gy or gx begins: that of a feature, or the i-th of those that are kept
  HEPFLOWS_ALWAYS int64_t row(int64_t feature) const { return (mapped ? within(mapped[feature], rows - 1) : feature) * events; }
  HEPFLOWS_ALWAYS int64_t kept_row(int64_t i) const { return within(kept[i], rows - 1) * events; }

  // Where the saved parameters of a feature at an event begin; the next parameter follows after RAW_TILE
  HEPFLOWS_ALWAYS float* raw_at(int64_t feature, int64_t event) const {
    const int64_t blocks = (events + RAW_TILE - 1) / RAW_TILE;
    return raw + (feature * blocks + event / RAW_TILE) * spline.parameters() * RAW_TILE + event % RAW_TILE;
  }
  HEPFLOWS_ALWAYS float* last_at(int64_t event) const { return last + event / RAW_TILE * hidden * RAW_TILE + event % RAW_TILE; }
};

struct Layer {  // a hidden layer of a MADE, units in ascending order of degree
  int64_t units;
  const float *weight, *bias;  // (units, units below), (units)
  const float* term;           // (units, N) what the context adds, or null
  const int32_t* seen;         // (D): how many of its units each feature sees; read through sees
  HEPFLOWS_ALWAYS int64_t sees(int64_t feature) const { return within(seen[feature], units); }
};

struct SweepTask {  // the exact inverse of a masked autoregressive map
  Spline spline;
  int64_t features, events, layers, given;  // given: last hidden units that the context alone sets
  int activation, residual;
  Layer layer[MAX_LAYERS];
  const float *weight, *bias;  // of the output: (D P, given + units of the last layer), (D P)
  const float* units;          // (given, N) or null
  const float* z;              // (D, N)
  float *x, *ladj;             // (D, N), (N)
};

struct Kernels {  // one table for each instruction set
  const char* name;
  int (*spline)(const SplineTask&, int threads);
  int (*spline_backward)(const SplineTask&, int threads);
  int (*head)(const HeadTask&, int threads);
  int (*head_backward)(const HeadTask&, int threads);
  int (*sweep)(const SweepTask&, int threads);
};

// Each returns 0, or 1 where no memory could be had.
extern const Kernels kernels_baseline, kernels_avx2, kernels_avx512;

// Call body(context, worker) for worker = 0 .. workers - 1 on the threads of the OpenMP runtime that torch has loaded, if any.
void parallel(int workers, void (*body)(void* context, int worker), void* context);

// Whether such a runtime was found.
bool threaded();

// Ask for large pages under fresh memory: what is written once and read once costs more in page faults than in arithmetic.
void prefer_large_pages(void* memory, int64_t bytes);

// Memory on a cache line, released with the object; null where there is none.
class Scratch {
 public:
  explicit Scratch(int64_t floats);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  float* get() const { return data; }

 private:
  float* data;
};
