from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hepflows.applications.calorimeter import CALOGAN, GEOMETRIES, load_geometry
from hepflows.applications.calorimeter.simulate import Detector, detectors, load_detector
from hepflows.errors import ConfigError

MINE = {
    "name": "iron and scintillator",
    "layers": [
        {"cells": [8, 8], "cell_mm": [30, 30], "depth_mm": [0, 100]},
        {"r_edges_mm": [0, 20, 60], "n_alpha": 8, "depth_mm": [100, 250]},
    ],
    "stack": [{"material": "my steel", "mm": 20}, {"material": "G4_POLYSTYRENE", "mm": 5}],
    "repeat": 10,
    "width_mm": 400,
    "world": "G4_AIR",
    "read_out": ["G4_POLYSTYRENE"],
    "scale": 25,
    "threshold_mev": 0.2,
    "cut_mm": 1.0,
    "materials": {"my steel": {"density": 7.8, "elements": {"Fe": 0.98, "C": 0.02}}},
}


def changed(**changes: object) -> dict[str, object]:
    return {key: value for key, value in {**MINE, **changes}.items() if value is not None}


def test_the_detectors_that_come_with_the_package() -> None:
    assert load_detector("calogan").geometry == CALOGAN
    assert [layer.depth_mm for layer in load_detector("calogan").geometry.layers] == [
        layer.depth_mm for layer in CALOGAN.layers
    ]
    assert load_detector("siw").geometry == GEOMETRIES["calochallenge-2"]
    for name in detectors():
        detector = load_detector(name)
        assert detector.depth_mm == detector.geometry.layers[-1].depth_mm[1]  # type: ignore[index]
        assert Detector.from_description(detector.describe()) == detector


def test_silicon_and_tungsten_is_that_of_the_calochallenge() -> None:
    siw = load_detector("siw")
    assert siw.scale == pytest.approx(1 / 0.033)
    assert siw.threshold_mev == pytest.approx(5e-4 / 0.033)  # 0.5 keV before the scale
    lengths = 1.4 / siw.resolved["G4_W"].radiation_length_mm + 0.3 / siw.resolved["G4_Si"].radiation_length_mm
    assert 2 * lengths == pytest.approx(0.8, abs=0.02)  # a layer, in radiation lengths


def test_a_yaml_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(MINE))
    detector = load_detector(path)
    assert detector.depth_mm == 250
    assert detector.resolved["my steel"].elements == {26: 0.98, 6: 0.02}
    assert set(detector.resolved) == {"my steel", "G4_POLYSTYRENE", "G4_AIR"}
    assert not detector.reads("my steel")
    assert Detector.from_description(detector.describe()) == detector
    assert load_geometry(path) == detector.geometry  # the same file serves the other commands


def test_signals_are_scaled_and_cut() -> None:
    detector = Detector.from_description(changed(scale=10, threshold_mev=2))
    import numpy as np

    voxels, overflow = detector.signals(np.array([[0.1, 0.2, 0.3]]), np.array([[0.1]]))
    np.testing.assert_allclose(voxels, [[0, 2, 3]])
    np.testing.assert_allclose(overflow, [[1]])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": None}, "a list called layers"),
        ({"layers": [{"cells": [8, 8], "cell_mm": [30, 30]}]}, "layer 0 has no depth_mm"),
        ({"layers": [{"cells": [8, 8], "cell_mm": [30, 30], "depth_mm": [0, 300]}]}, r"end at 300 mm, .* 250 mm deep"),
        ({"layers": MINE["layers"][::-1]}, "overlap or are not sorted"),  # type: ignore[index]
        ({"geometry": "calochallenge-2"}, "give layers, or one of the names"),
        ({"layers": None, "geometry": "calogna"}, "one of the names calogan"),
        ({"layers": None, "geometry": "calochallenge-1-photons"}, "layer 0 has no depth_mm"),
        ({"stack": []}, "stack: .*at least 1 item"),
        ({"stack": None}, "stack: Field required"),
        ({"stack": [{"material": "G4_Pb", "mm": -1}]}, "stack.0.mm: .*greater than 0"),
        ({"stack": [{"material": "G4_Pb", "thickness": 1}]}, r"stack.0.\w+: "),
        ({"stack": [{"material": "G4_Unobtainium", "mm": 1}], "repeat": 250, "read_out": "all"}, "unknown"),
        ({"read_out": ["G4_Si"]}, "read_out must be 'all' or materials of the stack"),
        ({"read_out": []}, "read_out must be"),
        ({"scale": float("nan")}, "scale: "),
        ({"repeat": 0}, "repeat: "),
        ({"materials": {"my steel": {"density": 7.8, "elements": {"Fe": 0.5}}}}, "add up to 0.5 instead of 1"),
        ({"materials": {"my steel": {"density": 7.8, "elements": {"Ferrum": 1}}}}, "no chemical element 'Ferrum'"),
        ({"materials": {"G4_Pb": {"density": 7.8, "elements": {"Pb": 1}}}}, "name of Geant4's own"),
        ({"width": 3}, "width: Extra inputs"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed(**changes)))
    with pytest.raises(ConfigError, match=words) as caught:
        load_detector(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_unknown_names_are_told_what_there_is() -> None:
    with pytest.raises(ConfigError, match="no detector 'atlas': choose one of calogan, calogan-active, siw"):
        load_detector("atlas")
