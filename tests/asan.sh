#!/bin/sh
# The tests of the compiled kernels under AddressSanitizer and UndefinedBehaviorSanitizer (GCC or Clang on Linux), in a copy elsewhere.
set -eu
cd "$(dirname "$0")/.."
python=$(cd "$VENV/bin" && pwd)/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -RL hepflows tests setup.py pyproject.toml README.md LICENSE "$work"
find "$work" -name '_native*.so' -delete
cd "$work"
flags="-g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined"
CFLAGS="$flags" CXXFLAGS="$flags" LDFLAGS="$flags" "$python" setup.py -q build_ext --inplace
grep -q __asan_report hepflows/kernels/_native*.so || { echo "the kernels were built without the sanitizer"; exit 1; }
# an interpreter that is not instrumented must load the sanitizers first; libstdc++ so that torch's exceptions find their way
library() { ${CXX:-c++} -print-file-name="$1"; }
# torch and the interpreter never free what they keep for good: no leaks are looked for
PYTHONPATH="$work" OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
  LD_PRELOAD="$(library libasan.so) $(library libubsan.so) $(library libstdc++.so)" \
  "$python" -m pytest -q -p no:cacheprovider tests/kernels "$@"
echo "no access out of bounds, no undefined behaviour"
