#!/bin/sh
# Build sdist and wheel with no compiler, install the wheel in an empty environment in another folder, run it from there.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt build
# from the checkout to the sdist, from the sdist to the wheel
CC=false "$VENV/bin/python" -m build --outdir "$work/dist" . >"$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
${PYTHON:-python3} -m venv "$work/venv"
pip="$work/venv/bin/python -m pip install --quiet --disable-pip-version-check -c $root/constraints.txt"
$pip torch
CC=false $pip "$work"/dist/hepflows-*.whl
cd "$work"
. "$work/venv/bin/activate"
python - <<'PYTHON'
import importlib.util
import hepflows
from hepflows.applications.calorimeter.config import presets

assert "site-packages" in hepflows.__file__, hepflows.__file__
assert presets() == ["demo", "paper"], presets()
for name in ("applications", "data", "tests"):
    assert importlib.util.find_spec(name) is None, f"the wheel installs a top-level package {name}"
PYTHON
hepflows --version
hepflows info
hepflows calorimeter convert "$root/data/calorimeter/eplus.root" -o showers.hdf5
hepflows calorimeter run showers.hdf5 --out run --preset demo --set model.shower_flow.training.epochs=1 \
  --set model.energy_flow.training.epochs=1 --set model.shower_flow.blocks=1 --set verdict.repeats=2
test -s run/report.html -a -s run/metrics.json -a -s run/generated.root -a -s run/generated.hdf5
status=0
hepflows calorimeter convert nothing.root -o out.hdf5 2>error.txt || status=$?
test "$status" -eq 2
! grep -q Traceback error.txt
echo "the wheel works from an empty environment"
