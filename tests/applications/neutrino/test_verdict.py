from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepflows.applications.neutrino import report_pictures as pictures
from hepflows.applications.neutrino.config import VerdictConfig
from hepflows.applications.neutrino.events import Events, lepton_momenta
from hepflows.applications.neutrino.kinematics import Roots, mass
from hepflows.applications.neutrino.methods.quadratic import nearest, quadratic
from hepflows.applications.neutrino.quantities import Quantities, b_jets, half_width, resolution
from hepflows.applications.neutrino.report_text import verdict
from hepflows.applications.neutrino.simulate.fast import Selection, top_pairs
from hepflows.applications.neutrino.verdict import Draws, calibrate, classify, root_choices


@pytest.fixture(scope="module")
def events() -> Events:
    return top_pairs(3000, selection=Selection(), seed=1)


def test_the_b_jet_is_the_tagged_one_of_smallest_mass(events: Events) -> None:
    found, there = b_jets(events)
    assert there.all()
    leptons = lepton_momenta(events)[:, 0]
    jets = np.concatenate(
        [events.jets[..., 3:], events.jets[..., :1] * np.stack(
            [np.cos(events.jets[..., 2]), np.sin(events.jets[..., 2]), np.sinh(events.jets[..., 1])], axis=-1)], axis=-1
    )  # fmt: skip
    for i in range(200):
        tagged = [j for j in range(10) if events.tags[i, j]] or [j for j in range(10) if events.jets[i, j, 0] > 0]
        best = min(tagged, key=lambda j: mass((jets[i, j] + leptons[i])[None])[0])
        np.testing.assert_allclose(found[i, 0], jets[i, best], rtol=1e-12)


def test_resolutions_are_those_of_a_known_error() -> None:
    rng = np.random.default_rng(0)
    truth = {"px": rng.normal(size=(20_000, 1)), "m_top": np.full((20_000, 1), np.nan)}
    truth["m_top"][:10_000] = 170.0
    found = resolution(
        {"px": truth["px"] + rng.normal(0.3, 2.0, (20_000, 1)), "m_top": truth["m_top"] + 1.0}, truth, rng
    )
    px = found["px"]
    assert abs(px["bias"] - 0.3) < 5 * px["bias_std"]
    assert px["bias_std"] == pytest.approx(2 / np.sqrt(20_000), rel=0.05)
    assert abs(px["width"] - 2 * 0.99446) < 5 * px["width_std"]  # the normal quantile of 84 %
    assert 0.005 < px["width_std"] < 0.04
    assert found["m_top"]["bias"] == 1.0
    assert half_width(np.array([np.nan, 0.0, 0.0])) == 0.0


def made_up(events: Events, width: float, seed: int) -> tuple[Draws, Events]:
    """Draws of Gaussians around a centre from which the truth is drawn, too, with a width of one."""
    rng = np.random.default_rng(seed)
    centre = events.truth("test")
    truth = centre + rng.normal(size=centre.shape)
    draws = centre + width * rng.normal(size=(100, *truth.shape))

    def density(y: np.ndarray) -> np.ndarray:
        return -0.5 * (((y - centre) / width) ** 2).sum(axis=(-1, -2))

    return Draws(draws, density(draws), density(truth)), replace(events, neutrinos=truth)


def test_calibration_tells_a_right_width_from_a_narrow_one(events: Events) -> None:
    right, narrow = (calibrate(*made_up(events, width, 2), 3) for width in (1.0, 0.7))
    for name in ("coverage", "sbc_px", "sbc_py", "sbc_eta", "tarp"):
        assert right[name].p_value > 1e-3, name
    for name in ("coverage", "sbc_px", "sbc_py", "sbc_eta"):
        assert narrow[name].p_value < 1e-6, name
    assert narrow["coverage"].at(0.68)[0] < 0.5


def test_the_classifier_knows_true_neutrinos_from_drawn_ones(events: Events) -> None:
    rules = VerdictConfig(classifier_repeats=1, classifier_epochs=6)
    as_targets = events.truth("test") + np.array([60.0, 0.0, 1.0])
    found = classify(events, as_targets, rules, seed=1)
    assert found is not None
    assert found.auc > 0.75
    assert found.power is not None
    assert found.power.auc > 0.5
    perfect = classify(events, np.array(events.truth("test")), rules, seed=2)
    assert perfect is not None
    assert abs(perfect.auc - 0.5) < 4 * perfect.auc_std
    assert classify(events, as_targets, VerdictConfig(classifier_repeats=0), seed=1) is None


def test_the_right_root_is_the_one_near_the_truth(events: Events) -> None:
    roots = quadratic(events)
    n = len(events)
    truth = np.where(np.arange(n) % 4 == 0, roots.pz[:, 1], roots.pz[:, 0]) + 1e-6
    pt = np.hypot(*events.missing.T)
    neutrinos = np.stack([*events.missing.T, np.arcsinh(truth / pt)], axis=-1)[:, None]
    draws = Draws(np.repeat(neutrinos[None], 5, axis=0), np.zeros((5, n)), np.zeros(n))
    quantities = Quantities(events)
    near = nearest(roots)
    estimates = {"truth": quantities.of(neutrinos), "flow": {}, "quadratic": quantities(*np.moveaxis(near, -1, 0))}
    found = root_choices(draws, estimates, roots)
    assert found["flow"][0] == 1.0
    expected = (np.arange(n) % 4 != 0)[roots.real].mean()
    assert found["quadratic"][0] == pytest.approx(expected, abs=0.01)


def test_pictures_of_single_events_show_divided_ones() -> None:
    roots = Roots(np.array([[10.0, 300.0]] * 3), np.zeros((3, 2)), np.array([True, True, False]), np.zeros((3, 2)))
    rng = np.random.default_rng(5)
    near = rng.normal(10, 20, (100, 3))
    divided = near.copy()
    divided[::2] += 290.0
    pz = np.stack([near[:, 0], divided[:, 1], divided[:, 2]], axis=1)
    assert pictures.two_sided(pz, roots, 1).tolist() == [1]
    figure = pictures.single_event(pz[:, 1], roots, 1, 20.0, 150.0)
    assert {"flow", "W constraint", "regression", "truth"} == set(figure.axes[0].get_legend_handles_labels()[1])


def test_the_verdict_says_what_is_wrong() -> None:
    good = {
        "auc": 0.505, "auc_std": 0.004, "auc_floor": 0.501, "power_ok": True, "coverage_error_max": 0.006,
        "coverage": {"inside_band": True},
    }  # fmt: skip
    assert verdict(good)[0] == "good"
    assert "AUC 0.580" in verdict({**good, "auc": 0.58})[2]
    assert verdict({**good, "coverage_error_max": 0.05, "coverage": {"inside_band": False}})[1] == "Not calibrated."
    assert verdict({**good, "power_ok": False})[1] == "The test is too weak."
    assert verdict({**good, "auc": None})[0] == "good"
