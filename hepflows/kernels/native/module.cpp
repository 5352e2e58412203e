// The Python side: addresses and sizes in, nothing out. hepflows/kernels/native.py checks every tensor before it calls.
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

#include "kernels.h"

namespace {

const Kernels* in_use = nullptr;

bool supported(const Kernels& kernels) {
#if defined(__x86_64__) || defined(__i386__)
  if (&kernels == &kernels_avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  if (&kernels == &kernels_avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
  return true;
}

#if defined(HEPFLOWS_ONE_ISA)
const Kernels* const all[] = {&kernels_baseline};
#else
const Kernels* const all[] = {&kernels_avx512, &kernels_avx2, &kernels_baseline};
#endif

template <typename T>
T* address(unsigned long long value) {
  return reinterpret_cast<T*>(static_cast<uintptr_t>(value));
}

#define SPLINE "(iiiffffff)"
#define SPLINE_FIELDS(s)                                                                                                   \
  &s.bins, &s.free_edges, &s.inverse, &s.low, &s.high, &s.min_width, &s.min_height, &s.min_derivative, &s.edge

template <typename Task>
PyObject* run(int (*kernel)(const Task&, int), const Task& task, int threads) {
  int failed;
  Py_BEGIN_ALLOW_THREADS
  failed = kernel(task, threads);
  Py_END_ALLOW_THREADS
  if (failed) return PyErr_NoMemory();
  Py_RETURN_NONE;
}

PyObject* spline(PyObject*, PyObject* arguments) {
  SplineTask t{};
  int threads;
  long long rows, columns;
  unsigned long long x, raw, y, ladj;
  if (!PyArg_ParseTuple(arguments, "i" SPLINE "LLKKKK", &threads, SPLINE_FIELDS(t.spline), &rows, &columns, &x, &raw, &y,
                        &ladj))
    return nullptr;
  t.rows = rows, t.columns = columns;
  t.x = address<float>(x), t.raw = address<float>(raw), t.y = address<float>(y), t.ladj = address<float>(ladj);
  return run(in_use->spline, t, threads);
}

PyObject* spline_backward(PyObject*, PyObject* arguments) {
  SplineTask t{};
  int threads;
  long long rows, columns;
  unsigned long long x, raw, gy, gladj, gx, graw;
  if (!PyArg_ParseTuple(arguments, "i" SPLINE "LLKKKKKK", &threads, SPLINE_FIELDS(t.spline), &rows, &columns, &x, &raw, &gy,
                        &gladj, &gx, &graw))
    return nullptr;
  t.rows = rows, t.columns = columns;
  t.x = address<float>(x), t.raw = address<float>(raw), t.gy = address<float>(gy), t.gladj = address<float>(gladj);
  t.gx = address<float>(gx), t.graw = address<float>(graw);
  return run(in_use->spline_backward, t, threads);
}

// (rows, how many are kept, address of mapped, address of kept); zeros for no coupling
bool read_rows(PyObject* rows, HeadTask& t) {
  long long count, keeps;
  unsigned long long mapped, kept;
  if (!PyArg_ParseTuple(rows, "LLKK", &count, &keeps, &mapped, &kept)) return false;
  t.rows = count, t.keeps = keeps, t.mapped = address<int32_t>(mapped), t.kept = address<int32_t>(kept);
  return true;
}

// ((units, units below, weight, bias, gradient of weight, gradient of bias), ...)
bool read_layers(PyObject* layers, HeadTask& t) {
  const Py_ssize_t count = PyTuple_Size(layers);
  if (count > MAX_LAYERS) {
    PyErr_SetString(PyExc_ValueError, "more hidden layers than the kernels take");
    return false;
  }
  t.layers = static_cast<int>(count);
  for (int l = 0; l < t.layers; ++l) {
    long long units, below;
    unsigned long long weight, bias, gweight, gbias;
    if (!PyArg_ParseTuple(PyTuple_GetItem(layers, l), "LLKKKK", &units, &below, &weight, &bias, &gweight, &gbias))
      return false;
    t.layer[l] = HiddenLayer{units, below, address<float>(weight), address<float>(bias), address<float>(gweight),
                             address<float>(gbias)};
  }
  return true;
}

PyObject* head(PyObject*, PyObject* arguments) {
  HeadTask t{};
  int threads;
  long long features, inputs, hidden, events;
  unsigned long long x, h, weight, bias, seen, raw, last, y, ladj;
  PyObject *layers, *rows;
  if (!PyArg_ParseTuple(arguments, "i" SPLINE "LLLLiiO!O!KKKKKKKKK", &threads, SPLINE_FIELDS(t.spline), &features, &inputs, &hidden,
                        &events, &t.activation, &t.block, &PyTuple_Type, &layers, &PyTuple_Type, &rows, &x, &h, &weight, &bias, &seen,
                        &raw, &last, &y,
                        &ladj))
    return nullptr;
  if (!read_layers(layers, t) || !read_rows(rows, t)) return nullptr;
  t.features = features, t.inputs = inputs, t.hidden = hidden, t.events = events;
  t.x = address<float>(x), t.h = address<float>(h), t.weight = address<float>(weight), t.bias = address<float>(bias);
  t.seen = address<int32_t>(seen), t.raw = address<float>(raw), t.last = address<float>(last);
  t.y = address<float>(y), t.ladj = address<float>(ladj);
  return run(in_use->head, t, threads);
}

PyObject* head_backward(PyObject*, PyObject* arguments) {
  HeadTask t{};
  int threads;
  long long features, inputs, hidden, events;
  unsigned long long x, h, weight, seen, raw, last, gy, gladj, gx, gh, gweight, gbias;
  PyObject *layers, *rows;
  if (!PyArg_ParseTuple(arguments, "i" SPLINE "LLLLiiO!O!KKKKKKKKKKKK", &threads, SPLINE_FIELDS(t.spline), &features, &inputs,
                        &hidden, &events, &t.activation, &t.block, &PyTuple_Type, &layers, &PyTuple_Type, &rows, &x, &h, &weight, &seen, &raw,
                        &last, &gy,
                        &gladj, &gx, &gh, &gweight, &gbias))
    return nullptr;
  if (!read_layers(layers, t) || !read_rows(rows, t)) return nullptr;
  t.features = features, t.inputs = inputs, t.hidden = hidden, t.events = events;
  t.x = address<float>(x), t.h = address<float>(h), t.weight = address<float>(weight);
  t.seen = address<int32_t>(seen), t.raw = address<float>(raw), t.last = address<float>(last);
  t.gy = address<float>(gy), t.gladj = address<float>(gladj), t.gx = address<float>(gx);
  t.gh = address<float>(gh), t.gweight = address<float>(gweight), t.gbias = address<float>(gbias);
  return run(in_use->head_backward, t, threads);
}

PyObject* sweep(PyObject*, PyObject* arguments) {
  SweepTask t{};
  int threads;
  long long features, events, given;
  unsigned long long weight, bias, units, z, x, ladj;
  PyObject* layers;
  if (!PyArg_ParseTuple(arguments, "i" SPLINE "LLLiiO!KKKKKK", &threads, SPLINE_FIELDS(t.spline), &features, &events, &given,
                        &t.activation, &t.residual, &PyTuple_Type, &layers, &weight, &bias, &units, &z, &x, &ladj))
    return nullptr;
  t.features = features, t.events = events, t.given = given, t.layers = PyTuple_Size(layers);
  if (t.layers < 1 || t.layers > MAX_LAYERS) {
    PyErr_SetString(PyExc_ValueError, "a sweep takes 1 to 64 hidden layers");
    return nullptr;
  }
  for (int l = 0; l < t.layers; ++l) {
    long long count;
    unsigned long long w, b, term, seen;
    if (!PyArg_ParseTuple(PyTuple_GetItem(layers, l), "LKKKK", &count, &w, &b, &term, &seen)) return nullptr;
    t.layer[l] = Layer{count, address<float>(w), address<float>(b), address<float>(term), address<int32_t>(seen)};
  }
  t.weight = address<float>(weight), t.bias = address<float>(bias), t.units = address<float>(units);
  t.z = address<float>(z), t.x = address<float>(x), t.ladj = address<float>(ladj);
  return run(in_use->sweep, t, threads);
}

PyObject* available(PyObject*, PyObject*) {
  PyObject* names = PyList_New(0);
  for (const Kernels* kernels : all)
    if (names && supported(*kernels)) {
      PyObject* name = PyUnicode_FromString(kernels->name);
      if (!name || PyList_Append(names, name)) Py_CLEAR(names);
      Py_XDECREF(name);
    }
  return names;
}

PyObject* has_threads(PyObject*, PyObject*) { return PyBool_FromLong(threaded()); }

PyObject* use(PyObject*, PyObject* arguments) {
  const char* name;
  if (!PyArg_ParseTuple(arguments, "s", &name)) return nullptr;
  for (const Kernels* kernels : all)
    if (supported(*kernels) && PyUnicode_CompareWithASCIIString(PyTuple_GetItem(arguments, 0), kernels->name) == 0) {
      in_use = kernels;
      Py_RETURN_NONE;
    }
  PyErr_SetString(PyExc_ValueError, "no such kernels, or not on this processor");
  return nullptr;
}

PyMethodDef methods[] = {{"spline", spline, METH_VARARGS, nullptr},
                         {"spline_backward", spline_backward, METH_VARARGS, nullptr},
                         {"head", head, METH_VARARGS, nullptr},
                         {"head_backward", head_backward, METH_VARARGS, nullptr},
                         {"sweep", sweep, METH_VARARGS, nullptr},
                         {"available", available, METH_NOARGS, nullptr},
                         {"threaded", has_threads, METH_NOARGS, nullptr},
                         {"use", use, METH_VARARGS, nullptr},
                         {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_native", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

}  // namespace

PyMODINIT_FUNC PyInit__native() {
  for (const Kernels* kernels : all)
    if (!in_use && supported(*kernels)) in_use = kernels;
  PyObject* module = PyModule_Create(&definition);
  if (module && PyModule_AddIntConstant(module, "MAX_BINS", MAX_BINS)) Py_CLEAR(module);
  if (module && PyModule_AddIntConstant(module, "MAX_LAYERS", MAX_LAYERS)) Py_CLEAR(module);
  if (module && PyModule_AddIntConstant(module, "RAW_TILE", RAW_TILE)) Py_CLEAR(module);
  return module;
}
