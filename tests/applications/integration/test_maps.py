"""Maps of the cube: inverse to one another, with the right Jacobian, and adapted to what is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hepflows.applications.integration.domain import Domain
from hepflows.applications.integration.flow_map import FlowMap, cube_flow
from hepflows.applications.integration.maps import Composition, CubeMap, Rotation, principal_axes
from hepflows.applications.integration.points import sobol, uniform
from hepflows.applications.integration.sampler import Grid, Sampler
from hepflows.applications.integration.vegas import VegasMap


def _vegas(d: int) -> VegasMap:
    edges = np.sort(np.random.default_rng(1).random((d, 17)), axis=1)
    edges[:, 0], edges[:, -1] = 0, 1
    return VegasMap(edges)


def _rotation(d: int) -> Rotation:
    return Rotation(np.linalg.qr(np.random.default_rng(2).normal(size=(d, d)))[0])


MAPS = {
    "vegas": lambda: _vegas(3),
    "rotation": lambda: _rotation(3),
    "flow": lambda: FlowMap(3, seed=1),
    "composition": lambda: Composition([_rotation(3), _vegas(3), FlowMap(3, seed=1)]),
}


@pytest.mark.parametrize("name", MAPS)
def test_inverse_and_jacobian(name: str) -> None:
    map_: CubeMap = MAPS[name]()
    z = 0.02 + 0.96 * np.random.default_rng(3).random((500, 3))
    x, ladj = map_.inverse(z)
    inside = ladj > -np.inf
    assert inside.sum() > 50
    back, minus = map_.forward(x[inside])
    assert np.allclose(back, z[inside], atol=2e-5)
    assert np.allclose(minus, -ladj[inside], atol=2e-3)
    if name in ("vegas", "rotation"):
        step, point = 1e-6, z[inside][:20]
        jacobian = np.stack(
            [(map_.inverse(point + step * e)[0] - map_.inverse(point - step * e)[0]) / (2 * step) for e in np.eye(3)], 2
        )
        assert np.allclose(np.linalg.slogdet(jacobian)[1], ladj[inside][:20], atol=1e-4)


def test_density_integrates_to_one() -> None:
    x = uniform(200_000, 3, 1)
    for map_ in (_vegas(3), FlowMap(3, seed=1), Composition([_rotation(3), _vegas(3)])):
        density = np.exp(map_.forward(x)[1])
        lost = 0.0 if not isinstance(map_, Composition) else (map_.inverse(x)[1] == -np.inf).mean()
        assert abs(density.mean() + lost - 1) < 5 * density.std() / len(x) ** 0.5 + 0.01


def test_vegas_finds_a_product() -> None:
    """On a product of known densities the weights become one."""

    def f(x: np.ndarray) -> np.ndarray:
        return np.prod(np.exp(-(((x - 0.3) / 0.1) ** 2)), axis=1)

    map_ = VegasMap.flat(2, 512)
    for i in range(6):
        z = sobol(16384, 2, 1, i)
        x, ladj = map_.inverse(z)
        map_ = map_.adapted(z, f(x) * np.exp(ladj))
    x, ladj = map_.inverse(sobol(4096, 2, 2))
    weights = f(x) * np.exp(ladj)
    assert weights.mean() ** 2 / np.square(weights).mean() > 0.985


def test_fitted_map_flattens_its_points() -> None:
    x = np.random.default_rng(0).beta(8, 3, (20_000, 2))
    z = VegasMap.fitted(x, 1024, floor=0.01).forward(x)[0]
    assert np.abs(np.sort(z, axis=0) - np.linspace(0, 1, len(z))[:, None]).max() < 0.02


def test_principal_axes_find_a_ridge() -> None:
    rng = np.random.default_rng(0)
    x = 0.5 + rng.normal(size=(5000, 1)) * np.array([[1.0, 1.0, 1.0]]) * 0.1 + 0.001 * rng.normal(size=(5000, 3))
    assert np.allclose(np.abs(principal_axes(x)[:, -1]), 3**-0.5, atol=1e-3)


def test_grid_draws_what_it_says() -> None:
    share = np.random.default_rng(0).random(16)
    sampler = Sampler(VegasMap.flat(2, 8), Grid(4, 2, share / share.mean()))
    z = sampler.latents(100_000, np.random.default_rng(1))
    assert sampler.grid is not None
    counts = np.bincount(sampler.grid.box_of(z), minlength=16) / len(z)
    assert np.abs(counts - share / share.sum()).max() < 5 * (0.1 / len(z)) ** 0.5
    assert np.allclose(np.exp(sampler.log_prob(z)), 16 * (share / share.sum())[sampler.grid.box_of(z)])


def test_domain_integrates_known_functions() -> None:
    """A Gaussian over a line, an exponential over two half lines, a sum of four terms."""
    domain = Domain([(-np.inf, np.inf), (1, np.inf), (-np.inf, 2), 4])
    u = sobol(1 << 16, 4, 1)
    x, ladj = domain.inverse(u)
    f = np.exp(-(x[:, 0] ** 2) - x[:, 1] + x[:, 2]) * x[:, 3]
    truth = np.pi**0.5 * np.exp(-1) * np.exp(2) * 6
    assert abs((f * np.exp(ladj)).mean() / truth - 1) < 2e-3
    back, minus = domain.forward(x)
    assert np.allclose(back[:, :3], u[:, :3], atol=1e-9)
    assert np.allclose(minus, -ladj, atol=1e-6)
    assert domain.forward(np.array([[0.0, 0.5, 0.0, 0.0]]))[1][0] == -np.inf


def test_nets_are_independent_unbiased_and_even() -> None:
    def mean(name: str, i: int) -> float:
        return float(np.exp(sobol(16, 2, 1, name, i).sum(1)).mean())

    a, b = (np.array([mean(name, i) for i in range(300)]) for name in "ab")
    truth = (np.e - 1) ** 2
    assert abs(a.mean() - truth) < 4 * a.std() / 300**0.5
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / 300**0.5
    assert a.std() < 0.5 * np.exp(np.random.default_rng(0).random((300, 16, 2)).sum(2)).mean(1).std()
    points = sobol(1024, 3, 1, "even")
    for axis in range(3):  # exactly one point in each of 1024 intervals
        assert (np.bincount((points[:, axis] * 1024).astype(int), minlength=1024) == 1).all()


def test_cube_flow_reaches_every_coordinate() -> None:
    flow = cube_flow(6, seed=0)
    for part in flow.parameters():
        torch.nn.init.normal_(part, std=0.5, generator=torch.Generator().manual_seed(1))
    z = torch.full((6,), 0.4, dtype=torch.float32, requires_grad=True)
    x = flow.bijection.inverse(z[None])[0][0]
    jacobian = torch.stack([torch.autograd.grad(x[i], z, retain_graph=True)[0] for i in range(6)])
    assert bool((jacobian != 0).all())
