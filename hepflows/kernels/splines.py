r"""Monotonic splines in pure torch: the reference that every compiled kernel must equal.

Each function maps the box ``[low, high]`` onto itself, one element at a time, by a monotonic piecewise function; outside
the box it is the identity. It returns ``(y, log dy/dx)``, of the shape of ``x``, ``(..., D)``. The raw (unconstrained)
parameters stand on the axis before the last, ``(..., K, D)``: the elements stay next to one another in memory, and every
step runs over them at full width (with the parameters last, a softmax over eight bins is twenty times slower). All three
are free of data-dependent branches, and out-of-range inputs are replaced *before* the arithmetic, so that gradients are
finite at the edge and beyond it.

The raw parameters are mapped to bin sizes by :math:`m + (1 - K m)\,\mathrm{softmax}(a)` with :math:`m` the smallest
allowed size of a bin in units of the box.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad, softplus

from hepflows.errors import DomainError


def bin_sizes(raw: Tensor, minimum: float) -> Tensor:
    """``(..., K, D)`` raw numbers to bin sizes that sum to one, none smaller than ``minimum``."""
    bins = raw.shape[-2]
    if bins * minimum >= 1:
        message = f"{bins} bins of at least {minimum} do not fit into the box: lower the minimum below {1 / bins:.3g}"
        raise DomainError(message)
    return minimum + (1 - bins * minimum) * torch.softmax(raw, -2)


def knots(sizes: Tensor) -> Tensor:
    """``(..., K, D)`` bin sizes to the ``(..., K + 1, D)`` knots ``0 = t_0 < ... < t_K = 1``; both ends are exact."""
    inner = sizes[..., :-1, :].cumsum(-2)
    return pad(pad(inner, (0, 0, 1, 0)), (0, 0, 0, 1), value=1.0)


def find_bin(t: Tensor, inner_knots: Tensor) -> Tensor:
    """Index of the bin that holds ``t``: a comparison with the inner knots only, so that ``t = 1`` stays in the last bin."""
    return (t.unsqueeze(-2) >= inner_knots).sum(-2, keepdim=True)


def pick(values: Tensor, index: Tensor) -> Tensor:
    """``values[..., index, :]`` with ``index`` of shape ``(..., 1, D)``, that axis removed."""
    return values.gather(-2, index).squeeze(-2)


def _enter(x: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Which elements lie in the box, and ``x`` in units of the box, harmless where it does not."""
    inside = (x >= low) & (x <= high)
    return inside, torch.where(inside, (x - low) / (high - low), 0.5)


def _leave(x: Tensor, inside: Tensor, t: Tensor, ladj: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Back from units of the box, with the identity outside."""
    return torch.where(inside, low + (high - low) * t, x), torch.where(inside, ladj, 0.0)


def _tiny(x: Tensor) -> float:
    """A floor under square roots: rounding cannot make them imaginary, nor their gradient infinite."""
    return torch.finfo(x.dtype).tiny


def linear_spline(
    x: Tensor, heights: Tensor, *, low: float, high: float, min_height: float = 1e-3, inverse: bool = False
) -> tuple[Tensor, Tensor]:
    r"""Piecewise linear map with ``K`` bins of equal width (arXiv:1808.03856, section 3.2).

    In bin ``k``, with ``h`` the heights in units of the box, :math:`y = y_k + K h_k (x - k/K)` and
    :math:`\log dy/dx = \log K h_k`.

    Args:
        x: ``(..., D)`` inputs, or latents where ``inverse``.
        heights: ``(..., K, D)`` raw heights.
        low: lower edge of the box.
        high: upper edge of the box.
        min_height: smallest height of a bin, in units of the box.
        inverse: whether to invert the map.
    """
    bins = heights.shape[-2]
    inside, t = _enter(x, low, high)
    sizes = bin_sizes(heights, min_height)
    y_knots = knots(sizes)
    if inverse:
        index = find_bin(t, y_knots[..., 1:-1, :])
        height = pick(sizes, index)
        out = (index.squeeze(-2) + (t - pick(y_knots, index)) / height) / bins
        ladj = -torch.log(height * bins)
    else:
        index = (t * bins).long().clamp(0, bins - 1).unsqueeze(-2)
        height = pick(sizes, index)
        out = pick(y_knots, index) + (t * bins - index.squeeze(-2)) * height
        ladj = torch.log(height * bins)
    return _leave(x, inside, out.clamp(0, 1), ladj, low, high)


def quadratic_spline(
    x: Tensor,
    widths: Tensor,
    slopes: Tensor,
    *,
    low: float,
    high: float,
    min_width: float = 1e-3,
    min_slope: float = 1e-3,
    edge_weight: float = 0.5,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Piecewise quadratic map: its derivative is piecewise linear (arXiv:1808.03856, section 3.3).

    With ``v`` the derivative at the knots and :math:`\theta = (x - x_k) / w_k` in bin ``k``,
    :math:`y = y_k + w_k (v_k \theta + \tfrac12 (v_{k+1} - v_k) \theta^2)` and
    :math:`dy/dx = v_k + \theta (v_{k+1} - v_k)`. From raw numbers ``u``, :math:`v = m + (1 - m) q / A` with
    :math:`q = 10^{-3} + \mathrm{softplus}(u)` and :math:`A = \sum_k w_k (q_k + q_{k+1}) / 2`, so that the box is covered.

    Args:
        x: ``(..., D)`` inputs, or latents where ``inverse``.
        widths: ``(..., K, D)`` raw widths.
        slopes: ``(..., K + 1, D)`` raw derivatives at all knots, or ``(..., K - 1, D)`` at the inner ones; the derivative at both
            edges is then one, so that the map joins the identity outside smoothly.
        low: lower edge of the box.
        high: upper edge of the box.
        min_width: smallest width of a bin, in units of the box.
        min_slope: ``m``, the smallest derivative at a knot.
        edge_weight: the share of an outer bin that its edge counts for where the edges are fixed. One half makes the derivative at the
            edges one; nflows takes a quarter, and its derivative there is not one.
        inverse: whether to invert the map.
    """
    inside, t = _enter(x, low, high)
    sizes = bin_sizes(widths, min_width)
    q = softplus(slopes) + 1e-3
    if slopes.shape[-2] == widths.shape[-2] - 1:
        # the edge e that equals the area A it leads to: e = [f (w_1 q_1 + w_K q_K-1) + inner bins] / [1 - f (w_1 + w_K)]
        first, last = edge_weight * sizes[..., :1, :], edge_weight * sizes[..., -1:, :]
        inner = (0.5 * (q[..., :-1, :] + q[..., 1:, :]) * sizes[..., 1:-1, :]).sum(-2, keepdim=True)
        edge = (first * q[..., :1, :] + last * q[..., -1:, :] + inner) / (1 - first - last)
        q = torch.cat([edge, q, edge], -2)
    area = (0.5 * (q[..., :-1, :] + q[..., 1:, :]) * sizes).sum(-2, keepdim=True)
    v = min_slope + (1 - min_slope) * q / area
    x_knots = knots(sizes)
    y_knots = knots(0.5 * (v[..., :-1, :] + v[..., 1:, :]) * sizes)
    index = find_bin(t, (y_knots if inverse else x_knots)[..., 1:-1, :])
    x0, y0 = pick(x_knots, index), pick(y_knots, index)
    w = (
        pick(x_knots, index + 1) - x0
    )  # not the bin's size: theta must not round beyond one, where the clamp has no gradient
    v0, v1 = pick(v, index), pick(v, index + 1)
    if inverse:
        e = ((t - y0) / w).clamp_min(0)  # v0 theta + (v1 - v0)/2 theta^2 = e; the root that has no cancellation:
        theta = (2 * e / (v0 + torch.sqrt((v0 * v0 + 2 * (v1 - v0) * e).clamp_min(_tiny(t))))).clamp(0, 1)
        return _leave(x, inside, x0 + w * theta, -torch.log(v0 + theta * (v1 - v0)), low, high)
    theta = ((t - x0) / w).clamp(0, 1)
    y = y0 + w * theta * (v0 + 0.5 * theta * (v1 - v0))
    return _leave(x, inside, y, torch.log(v0 + theta * (v1 - v0)), low, high)


def edge_derivative(min_derivative: float) -> float:
    """The raw number that `rational_quadratic_spline` maps to a derivative of exactly one."""
    return math.log(math.expm1(1 - min_derivative))


def rational_quadratic_spline(
    x: Tensor,
    widths: Tensor,
    heights: Tensor,
    derivatives: Tensor,
    *,
    low: float,
    high: float,
    min_width: float = 1e-3,
    min_height: float = 1e-3,
    min_derivative: float = 1e-3,
    inverse: bool = False,
) -> tuple[Tensor, Tensor]:
    r"""Monotonic rational-quadratic spline (arXiv:1906.04032).

    With :math:`s = h/w` the mean slope of the bin, :math:`d_0, d_1` the derivatives at its knots,
    :math:`\theta = (x - x_k)/w`, :math:`v = \theta (1 - \theta)` and :math:`D = s + (d_0 + d_1 - 2 s) v`:

    .. math::
        y = y_k + h\,\frac{s \theta^2 + d_0 v}{D}, \qquad
        \frac{dy}{dx} = \frac{s^2 \left[d_1 \theta^2 + 2 s v + d_0 (1 - \theta)^2\right]}{D^2}

    Args:
        x: ``(..., D)`` inputs, or latents where ``inverse``.
        widths: ``(..., K, D)`` raw widths.
        heights: ``(..., K, D)`` raw heights.
        derivatives: ``(..., K - 1, D)`` raw derivatives at the inner knots (both edges then have slope one and join the
            identity outside smoothly), or ``(..., K + 1, D)`` at all knots.
        low: lower edge of the box.
        high: upper edge of the box.
        min_width: smallest width of a bin, in units of the box.
        min_height: smallest height of a bin, in units of the box.
        min_derivative: smallest derivative at a knot.
        inverse: whether to invert the map.

    Example:
        >>> x = torch.tensor([-5.0, 0.3, 1.0])
        >>> w, h, d = torch.zeros(8, 3), torch.zeros(8, 3), torch.full((7, 3), edge_derivative(1e-3))
        >>> y, ladj = rational_quadratic_spline(x, w, h, d, low=-1.0, high=1.0)  # all bins alike: the identity
        >>> bool(torch.allclose(y, x)), bool(torch.allclose(ladj, torch.zeros(3), atol=1e-6))
        (True, True)
    """
    inside, t = _enter(x, low, high)
    if derivatives.shape[-2] == widths.shape[-2] - 1:
        derivatives = pad(derivatives, (0, 0, 1, 1), value=edge_derivative(min_derivative))
    x_knots, y_knots = knots(bin_sizes(widths, min_width)), knots(bin_sizes(heights, min_height))
    index = find_bin(t, (y_knots if inverse else x_knots)[..., 1:-1, :])
    pair = torch.cat([index, index + 1], -2)
    x0, x1 = x_knots.gather(-2, pair).unbind(-2)
    y0, y1 = y_knots.gather(-2, pair).unbind(-2)
    d0, d1 = (min_derivative + softplus(derivatives.gather(-2, pair))).unbind(-2)
    w, h = x1 - x0, y1 - y0
    s = h / w
    curvature = d0 + d1 - 2 * s
    theta = _invert_bin(t - y0, h, s, d0, curvature) if inverse else ((t - x0) / w).clamp(0, 1)
    rest = 1 - theta
    v = theta * rest
    denominator = s + curvature * v
    slope = d1 * theta * theta + 2 * s * v + d0 * rest * rest
    ladj = torch.log(s * s * slope) - 2 * torch.log(denominator)
    if inverse:
        return _leave(x, inside, x0 + w * theta, -ladj, low, high)
    y = y0 + h * (s * theta * theta + d0 * v) / denominator
    return _leave(x, inside, y, ladj, low, high)


def _invert_bin(e: Tensor, h: Tensor, s: Tensor, d0: Tensor, curvature: Tensor) -> Tensor:
    """Solve the quadratic of one bin for theta, by the root that does not cancel whichever sign ``b`` has."""
    a = h * (s - d0) + e * curvature
    b = h * d0 - e * curvature
    c = -s * e
    root = torch.sqrt((b * b - 4 * a * c).clamp_min(_tiny(b)))
    positive = b >= 0
    q = -0.5 * (b + torch.where(positive, root, -root))
    # the quotient that is not used gets a harmless denominator, or its gradient would be 0 * inf
    one = torch.ones_like(q)
    theta = torch.where(
        positive,
        c / torch.where(positive & (q != 0), q, one),
        q / torch.where(positive | (a == 0), one, a),
    )
    return theta.clamp(0, 1)
