"""Decays of top quarks, in their own frames and then in the laboratory: masses, angles, boosts; all events at once.

Components stand first, momenta are ``(4, n)`` arrays of E, px, py, pz in GeV: each operation then runs over contiguous memory.
"""

from __future__ import annotations

import numpy as np

from hepflows.applications.neutrino.events import Array

TOP_MASS, TOP_WIDTH = 172.5, 1.42
W_MASS, W_WIDTH = 80.385, 2.085
B_MASS = 4.8


def breit_wigner(rng: np.random.Generator, n: int, mass: float, width: float, low: float, high: float) -> Array:
    """(n,) masses of a relativistic Breit-Wigner of fixed width between two bounds, by inversion."""
    edges = np.arctan((np.array([low, high]) ** 2 - mass**2) / (mass * width))
    angle = edges[0] + (edges[1] - edges[0]) * rng.random(n)
    return np.asarray(np.sqrt(mass**2 + mass * width * np.tan(angle)))


def around(axis: Array, cos: Array, phi: Array) -> Array:
    """(3, n) unit vectors at an angle from unit vectors, and at an azimuth around them."""
    x, y, z = axis
    # two vectors perpendicular to the axis, without a special case (Duff et al., JCGT 6 (2017) 1)
    sign = np.copysign(1.0, z)
    a = -1.0 / (sign + z)
    b = x * y * a
    sin = np.sqrt(np.maximum(1 - cos * cos, 0.0))
    u, v = sin * np.cos(phi), sin * np.sin(phi)
    return np.stack(
        [
            cos * x + u * (1.0 + sign * x * x * a) + v * b,
            cos * y + u * sign * b + v * (sign + y * y * a),
            cos * z - u * sign * x - v * y,
        ]
    )


def boost(p: Array, frame: Array, mass: Array) -> Array:
    """Momenta (4, n) in the rest frames of ``frame`` (4, n), seen in the frame in which it is given; ``mass`` (n,) is its own."""
    energy = (p[0] * frame[0] + p[1] * frame[1] + p[2] * frame[2] + p[3] * frame[3]) / mass
    factor = (energy + p[0]) / (frame[0] + mass)
    result = np.empty_like(p)
    result[0] = energy
    np.multiply(factor, frame[1:], out=result[1:])
    result[1:] += p[1:]
    return result


def momentum_in_decay(parent: Array, first: Array | float, second: Array | float) -> Array:
    """Momentum of either daughter in the frame of the parent, from the three masses."""
    product = (parent**2 - (first + second) ** 2) * (parent**2 - (first - second) ** 2)
    return np.asarray(np.sqrt(np.maximum(product, 0.0)) / (2 * parent))


def helicity_cosine(rng: np.random.Generator, top: Array, w: Array) -> Array:
    r"""(n,) cosine of the down-type fermion in the W's frame, against the W's direction in the frame of the top.

    Of an unpolarised top, to leading order with a massless b (V-A),

    .. math:: \frac{1}{\Gamma} \frac{d\Gamma}{d\cos\theta} = \tfrac34 F_0 \sin^2\theta + \tfrac38 (1 - F_0) (1 - \cos\theta)^2,
              \qquad F_0 = \frac{m_t^2}{m_t^2 + 2 m_W^2}

    with the masses of the event. The charged lepton is the down-type fermion.
    """
    n = len(top)
    longitudinal = rng.random(n) < top**2 / (top**2 + 2 * w**2)
    u = rng.random(n)
    # the cumulative distributions (2 + 3c - c^3)/4 and 1 - ((1 - c)/2)^3, inverted
    middle = 2 * np.cos((np.arccos(1 - 2 * u) + 4 * np.pi) / 3)
    left = 1 - 2 * np.cbrt(u)
    return np.where(longitudinal, middle, left)


def decay_top(rng: np.random.Generator, top: Array, masses: Array, w_masses: Array) -> tuple[Array, Array, Array]:
    """Decay (4, n) tops to a b quark, the down-type and the up-type fermion of the W, each (4, n) in the frame of ``top``."""
    n = len(masses)
    axis = np.empty((3, n))
    axis[2] = rng.uniform(-1, 1, n)
    phi, sin = rng.uniform(-np.pi, np.pi, n), np.sqrt(1 - axis[2] ** 2)
    axis[0], axis[1] = sin * np.cos(phi), sin * np.sin(phi)
    p = momentum_in_decay(masses, w_masses, B_MASS)
    w = np.concatenate([np.sqrt(p**2 + w_masses**2)[None], p * axis])
    b = np.concatenate([np.sqrt(p**2 + B_MASS**2)[None], -p * axis])
    fermion = around(axis, helicity_cosine(rng, masses, w_masses), rng.uniform(-np.pi, np.pi, n))
    half = 0.5 * w_masses
    down = boost(np.concatenate([half[None], half * fermion]), w, w_masses)
    up = w - down
    return boost(b, top, masses), boost(down, top, masses), boost(up, top, masses)
