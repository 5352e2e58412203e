"""Events in their own frame: nothing that physics knows changes, and a model answers turned and mirrored events alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hepflows.applications.neutrino import load_config, top_pairs
from hepflows.applications.neutrino.events import Events
from hepflows.applications.neutrino.frame import LeptonFrame
from hepflows.applications.neutrino.methods.feedforward import FeedForward
from hepflows.applications.neutrino.methods.flow import NeutrinoFlow
from hepflows.applications.neutrino.quantities import Quantities


@pytest.mark.parametrize("channel", ["semileptonic", "dilepton"])
def test_masses_stay_and_the_way_back_leads_back(channel: str) -> None:
    events = top_pairs(1000, channel=channel, seed=1)
    frame = LeptonFrame(events)
    before, after = (Quantities(one).of(one.neutrinos) for one in (events, frame.events))
    for name in ("m_w", "m_top"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(np.abs(after["pz"]), np.abs(before["pz"]), rtol=1e-9)
    np.testing.assert_allclose(np.hypot(*frame.events.missing.T), np.hypot(*events.missing.T), rtol=1e-12)
    many = np.random.default_rng(2).standard_normal((7, *events.neutrinos.shape))
    np.testing.assert_allclose(frame.back(frame.into(many)), many, atol=1e-12)
    assert (frame.events.leptons[:, 0, 1] >= 0).all()
    assert (frame.events.missing[:, 1] >= 0).all()
    assert (np.abs(frame.events.jets[..., 2]) <= np.pi).all()
    assert (frame.events.jets[~events.present] == 0).all()


def turned(events: Events, angle: float, *, y: float = 1.0, z: float = 1.0) -> Events:
    """All of an event turned by an angle, then mirrored."""

    def vector(px: np.ndarray, py: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.cos(angle) * px - np.sin(angle) * py, y * (np.sin(angle) * px + np.cos(angle) * py)

    def objects(one: np.ndarray) -> np.ndarray:
        pt, eta, phi, energy = np.moveaxis(one, -1, 0)
        return np.stack([pt, z * eta, np.where(pt > 0, y * (phi + angle), 0.0), energy], axis=-1)

    px, py, eta = np.moveaxis(events.neutrinos, -1, 0)
    return replace(
        events, missing=np.stack(vector(*events.missing.T), -1), leptons=objects(events.leptons), jets=objects(events.jets),
        neutrinos=np.stack([*vector(px, py), z * eta], axis=-1),
    )  # fmt: skip


@pytest.mark.parametrize("mirror", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_a_model_answers_turned_and_mirrored_events_alike(mirror: tuple[int, int]) -> None:
    y, z = mirror
    config = load_config("quick", ["posterior.training.epochs=1", "regression.epochs=1"])
    events = top_pairs(400, seed=3)
    other = turned(events, 1.2, y=y, z=z)
    flow = NeutrinoFlow(config, seed=1)
    flow.fit(events)
    np.testing.assert_allclose(
        flow.log_prob(other.neutrinos, other), flow.log_prob(events.neutrinos, events), atol=1e-3
    )
    regression = FeedForward(config, seed=1)
    regression.fit(events)
    expected = turned(replace(events, neutrinos=regression.predict(events)), 1.2, y=y, z=z).neutrinos
    np.testing.assert_allclose(regression.predict(other), expected, rtol=1e-3, atol=1e-2)
