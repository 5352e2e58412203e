r"""From sources to what the observatory counts: spectrum and Xmax, expected and drawn, and their likelihood.

Equal sources of uniform density emit nuclei of mass number A and charge Z as (arXiv:1612.07155)

.. math:: J(E, A) = J_0\, f_A \Big(\frac{E}{10^{19}\,\mathrm{eV}}\Big)^{-\gamma} \times
          \begin{cases} 1 & E \le Z_A R_\mathrm{cut} \\ \exp\big(1 - E/(Z_A R_\mathrm{cut})\big) & E > Z_A R_\mathrm{cut} \end{cases}

A matrix takes them through the background light to the Earth. The normalisation :math:`J_0` is not inferred: the number of events is
taken as given, and the counts are multinomial, in the spectrum and in each energy bin of Xmax.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from hepflows.applications.airshower.detector import (
    OBSERVABLES,
    SPECTRUM_EDGES,
    XMAX_EDGES,
    acceptance,
    load_detector,
    smeared_below,
)
from hepflows.applications.airshower.prior import NAMES
from hepflows.applications.airshower.response import load_response
from hepflows.applications.airshower.species import CHARGE, MASS
from hepflows.applications.airshower.xmax import gumbel_cdf
from hepflows.errors import DataError, ShapeError

_TRUE = np.arange(200.0, 2001.0, 2.0)  # edges of true depths, g/cm2
_FINE = np.arange(430.0, 1471.0, 2.0)  # where the distribution of measured depths is tabulated
_CHUNK = 2048
_GROUPS = [15, *[45] * 9]  # observables of the spectrum and of each energy bin of Xmax
_LEAST = 1e-300


class ForwardModel:
    """Expected counts, simulated counts and the likelihood of 420 observables: 15 bins of the spectrum, then 9 x 45 of Xmax.

    Args:
        response: of the propagation, see `load_response`.
        xmax: the hadronic model, see `hepflows.applications.airshower.xmax.COEFFICIENTS`.
        exposure: events in units of those of the public data.

    Example:
        >>> from hepflows.applications.airshower import ForwardModel, Prior
        >>> theta = Prior().draw(4, generator=torch.Generator().manual_seed(0))
        >>> counts = ForwardModel().simulate(theta, generator=torch.Generator().manual_seed(1))
        >>> counts.shape
        torch.Size([4, 420])
    """

    def __init__(self, response: str = "Gilmore12", xmax: str = "EPOS-LHC-2013", *, exposure: float = 1.0) -> None:
        table, detector = load_response(response), load_detector()
        self.response, self.xmax = response, xmax
        seen = _bins(table.edges, SPECTRUM_EDGES[[0, -1]])[0]
        edges = table.edges[seen.start : seen.stop + 1]
        self._lg_energy, self.lg_arrival = torch.from_numpy(table.centres), torch.from_numpy(table.centres[seen])
        self._matrix = torch.from_numpy(np.ascontiguousarray(table.matrix[..., seen].reshape(625, -1)))
        self._correction = torch.from_numpy(detector.correction)
        self._scale = torch.from_numpy(detector.scale)
        self._spectrum, self._slices = _bins(edges, SPECTRUM_EDGES), _bins(edges, detector.lg_energy_edges)
        self.events = torch.tensor(
            [exposure * detector.spectrum_counts.sum(), *(exposure * detector.xmax_counts.sum(1))], dtype=torch.float64
        )
        self._templates = [
            torch.from_numpy(
                _templates(self.lg_arrival.numpy()[rows], detector.acceptance[i], detector.resolution[i], xmax)
            )
            for i, rows in enumerate(self._slices)
        ]

    def arriving(self, theta: Tensor) -> Tensor:
        """Flux (N, 5, 75) of each mass group at the Earth, in the energies ``lg_arrival`` from 18.7 to 20.2, in arbitrary units."""
        return self._propagated(theta[:, 2:7].unsqueeze(-1) * self._sources(theta)[0])

    def probabilities(self, theta: Tensor) -> Tensor:
        """Probabilities (N, 420): of the bins of the spectrum, and of those of Xmax in each energy bin; each group adds up to one."""
        self._check(theta)
        return torch.cat([self._probabilities(rows) for rows in torch.split(theta, _CHUNK)])

    def _probabilities(self, theta: Tensor) -> Tensor:
        groups = self._groups(self.arriving(theta).unsqueeze(1), theta[:, 7:8])
        return torch.cat(
            [(cells / total.unsqueeze(2).clamp_min(_LEAST)).squeeze(1).clamp_min(0.0) for cells, total, _ in groups], 1
        )

    def derivatives(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities (N, 420) and their derivatives (N, 8, 420) by the parameters, each fraction taken as a number of its own.

        All but the cut-off is linear in the flux of the sources, so that seven fluxes are followed: of the five species, and of the
        derivatives by index and cut-off.
        """
        self._check(theta)
        fractions = theta[:, 2:7, None]
        source, ratio = self._sources(theta)
        by_index = -np.log(10.0) * (self._lg_energy - 19.0) * source
        by_cut = np.log(10.0) * torch.where(ratio > 1, ratio, 0.0) * source
        species = torch.einsum("nse,sef->nsf", source, self._matrix.reshape(5, -1, self._matrix.shape[1]))
        others = [self._propagated(fractions * one).flatten(1).unsqueeze(1) for one in (by_index, by_cut)]
        flux = torch.cat([*others, species], 1).reshape(len(theta), 7, 5, -1)  # in the order of the parameters
        probabilities, slopes = [], []
        for cells, total, moved in self._groups(flux, theta[:, 7:8]):
            norm = (fractions.squeeze(2) * total[:, 2:]).sum(1, keepdim=True).clamp_min(_LEAST)
            here = (fractions * cells[:, 2:]).sum(1) / norm
            by_scale = (fractions * moved[:, 2:]).sum(1, keepdim=True) / norm.unsqueeze(2)
            by_flux = (cells - here.unsqueeze(1) * total.unsqueeze(2)) / norm.unsqueeze(2)
            probabilities.append(here.clamp_min(0.0))
            slopes.append(torch.cat([by_flux, by_scale], 1))
        return torch.cat(probabilities, 1), torch.cat(slopes, 2)

    def _sources(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra (N, 5, 125) of the species before their fractions, and E / (Z R_cut)."""
        gamma, cut = theta[:, :1], theta[:, 1:2]
        slope = (1 - gamma) * (self._lg_energy - 19.0) * np.log(10.0)
        ratio = 10.0 ** (self._lg_energy - cut).unsqueeze(1) / torch.from_numpy(CHARGE)[:, None]
        return torch.exp(slope.unsqueeze(1) + torch.where(ratio > 1, 1 - ratio, 0.0)), ratio

    def _propagated(self, source: Tensor) -> Tensor:
        return (source.flatten(1) @ self._matrix).reshape(len(source), 5, len(self.lg_arrival))

    def _groups(self, flux: Tensor, shift: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of K fluxes (N, K, 5, 75): what lies in the cells (N, K, bins) of the spectrum and of each energy bin of Xmax, the sum over all
        cells (N, K), and the derivative of the cells by the Xmax scale.
        """
        total = flux.sum(2)
        spectrum = torch.stack([total[..., rows].sum(-1) for rows in self._spectrum], -1) / self._correction
        found = [(spectrum, spectrum.sum(-1), torch.zeros_like(spectrum))]
        edges = torch.from_numpy(XMAX_EDGES[1:-1])
        for i, (rows, template) in enumerate(zip(self._slices, self._templates, strict=True)):
            below = flux[..., rows].flatten(2) @ template  # (N, K, F + 1), the last one the sum
            scale = torch.where(shift > 0, self._scale[i, 0], self._scale[i, 1])
            inner, slope = _interpolated(below[..., :-1], edges - shift * scale)
            ends = inner.new_zeros(*inner.shape[:2], 1)
            cells = torch.cat([ends, inner, below[..., -1:]], -1).diff(dim=-1)
            moved = torch.cat([ends, -scale.unsqueeze(1) * slope, ends], -1).diff(dim=-1)
            found.append((cells, below[..., -1], moved))
        return found

    def expected(self, theta: Tensor) -> Tensor:
        """Expected counts (N, 420) of parameters (N, 8)."""
        return self.probabilities(theta) * self.grouped(self.events)

    def simulate(self, theta: Tensor, *, generator: torch.Generator) -> Tensor:
        """Counts (N, 420), Poisson about the expectation: given their sums they are multinomial."""
        return torch.poisson(self.expected(theta), generator=generator)

    def log_likelihood(self, theta: Tensor, counts: Tensor) -> Tensor:
        """Log likelihood (..., N) of parameters (..., N, 8) for counts (N, 420) or (420,), without the multinomial coefficients.

        Raises:
            DataError: counts that are negative, not finite or not 420.
        """
        if counts.shape[-1] != OBSERVABLES or not bool((counts >= 0).all()) or not bool(counts.isfinite().all()):
            message = f"expected {OBSERVABLES} counts that are not negative, got the shape {tuple(counts.shape)}"
            raise DataError(message)
        leading = theta.shape[:-1]
        points, seen = theta.reshape(-1, theta.shape[-1]), counts.expand(*leading, OBSERVABLES).reshape(-1, OBSERVABLES)
        self._check(points)
        parts = [
            torch.xlogy(n, self._probabilities(rows)).sum(1)
            for rows, n in zip(torch.split(points, _CHUNK), torch.split(seen, _CHUNK), strict=True)
        ]
        return torch.cat(parts).reshape(leading)

    @staticmethod
    def grouped(values: Tensor) -> Tensor:
        """One number for the spectrum and one for each energy bin of Xmax (..., 10), repeated for the 420 observables."""
        return torch.repeat_interleave(values, torch.tensor(_GROUPS), -1)

    @staticmethod
    def summed(values: Tensor) -> Tensor:
        """Sums (..., 10) of (..., 420) over the spectrum and over each energy bin of Xmax."""
        return torch.stack([group.sum(-1) for group in torch.split(values, _GROUPS, -1)], -1)

    @staticmethod
    def _check(theta: Tensor) -> None:
        if theta.ndim != 2 or theta.shape[1] != len(NAMES):
            message = f"expected parameters (N, {len(NAMES)}): {', '.join(NAMES)}; got {tuple(theta.shape)}"
            raise ShapeError(message)
        if not bool(theta.isfinite().all()):
            message = "the parameters hold values that are not finite: there is no universe for them"
            raise DataError(message)


def _bins(edges: np.ndarray, wanted: np.ndarray) -> list[slice]:
    """Which fine bins make up each coarse one."""
    places = [int(np.argmin(np.abs(edges - edge))) for edge in wanted]
    return [slice(low, high) for low, high in pairwise(places)]


def _templates(lg_energy: np.ndarray, seen: np.ndarray, resolution: np.ndarray, model: str) -> np.ndarray:
    """Share of the showers that are seen and measured less deep than each of ``_FINE``, and of all that are seen: (5 x bins, F + 1)."""
    true = 0.5 * (_TRUE[1:] + _TRUE[:-1])
    density = np.diff(gumbel_cdf(_TRUE, MASS[:, None, None], lg_energy[:, None], model), axis=-1)
    density = (density * acceptance(true, seen)).reshape(-1, len(true))
    below = smeared_below(_FINE[:, None] - true, resolution)
    return np.column_stack([density @ below.T, density.sum(1)])


def _interpolated(below: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Linear interpolation of (N, K, F) values on ``_FINE`` at (N, E) points, and its slope: (N, K, E) each."""
    width = float(_FINE[1] - _FINE[0])
    place = ((x - _FINE[0]) / width).clamp(0, len(_FINE) - 1.001)
    index = place.long().unsqueeze(1).expand(-1, below.shape[1], -1)
    left, right = below.gather(2, index), below.gather(2, index + 1)
    return torch.lerp(left, right, place.unsqueeze(1) - index), (right - left) / width
