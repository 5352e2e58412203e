#!/bin/sh
# Build sdist and wheel with no compiler, install the wheel in an empty environment in another folder, run it from there; then put the
# wheel with compiled kernels in its place.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt build
# from the checkout to the sdist, from the sdist to the wheel
CC=false CXX=false "$VENV/bin/python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
${PYTHON:-python3} -m venv "$work/venv"
pip="$work/venv/bin/python -m pip install --quiet --disable-pip-version-check -c $root/constraints.txt"
$pip torch
CC=false CXX=false $pip "$work"/dist/hepflows-*.whl
cd "$work"
. "$work/venv/bin/activate"
python - <<'PYTHON'
import importlib.util
import hepflows
from hepflows.training.presets import presets

assert "site-packages" in hepflows.__file__, hepflows.__file__
from hepflows.applications.calorimeter.published import datasets
from hepflows.applications.calorimeter.simulate import detectors

for application in ("airshower", "anomaly", "calorimeter", "neutrino"):
    names = presets(f"hepflows.applications.{application}")
    assert names, f"the wheel leaves out the presets of {application}"
assert len(datasets()) == 7, datasets()
assert "calogan" in detectors(), detectors()
for name in ("applications", "data", "tests"):
    assert importlib.util.find_spec(name) is None, f"the wheel installs a top-level package {name}"
PYTHON
hepflows --version
hepflows info | tee info.txt
grep -q "kernels: reference" info.txt
grep -q "reinstall hepflows where a C++ compiler is found" info.txt
hepflows calorimeter convert "$root/data/calorimeter/eplus.root" -o showers.hdf5
hepflows calorimeter run showers.hdf5 --out run --preset demo --set model.shower_flow.training.epochs=1 \
  --set model.energy_flow.training.epochs=1 --set model.shower_flow.blocks=1 --set verdict.repeats=2
test -s run/report.html -a -s run/metrics.json -a -s run/generated.root -a -s run/generated.hdf5
status=0
hepflows calorimeter convert nothing.root -o out.hdf5 2>error.txt || status=$?
test "$status" -eq 2
! grep -q Traceback error.txt
echo "the wheel works from an empty environment"
if ! command -v "${CXX:-c++}" >/dev/null && test -z "${CI:-}"; then
  echo "no C++ compiler here: the wheel with compiled kernels is not tested"
  exit 0
fi
"$root/$VENV/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w compiled "$work"/dist/hepflows-*.tar.gz
ls compiled/hepflows-*-cp311-abi3-*.whl
$pip --force-reinstall --no-deps compiled/hepflows-*.whl
hepflows info | tee info.txt
! grep -q "kernels: reference" info.txt
python - <<'PYTHON'
import importlib.resources

import torch
import hepflows
from hepflows.kernels import native

flow = hepflows.maf(features=20, blocks=2, hidden=(30, 30), seed=0)
x = flow.sample(100, generator=torch.Generator().manual_seed(0))
with native.using("reference"):
    want = flow.log_prob(x)
torch.testing.assert_close(flow.log_prob(x), want, rtol=1e-4, atol=1e-3)
sources = [path.name for path in importlib.resources.files("hepflows").joinpath("kernels").iterdir()]
assert "native" not in sources, "the wheel ships the C++ sources"
PYTHON
echo "the wheel with compiled kernels works as well"
