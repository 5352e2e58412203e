"""What a shower depends on besides its energy: the particle, its direction, its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hepflows.errors import ConfigError, DataError


class Conditions(nn.Module):
    r"""Columns of showers to numbers for the context of a flow.

    ``pdg`` becomes one number a species, 1 for that of the shower and 0 for the others (species as context, arXiv:2601.11716).
    ``theta`` and ``phi`` together become the direction across the beam, :math:`\sin\theta\,(\cos\phi, \sin\phi)`; ``phi`` alone
    :math:`(\cos\phi, \sin\phi)`; ``theta``, ``x`` and ``y`` stay. All but the species are standardised by the training set.

    Args:
        names: columns, see `hepflows.applications.calorimeter.showers.COLUMNS`.
        species: PDG numbers that can come.

    Raises:
        ConfigError: ``pdg`` without species.

    Example:
        >>> conditions = Conditions(["pdg", "theta"], species=[-11, 22])
        >>> columns = {"pdg": np.array([22.0, -11.0]), "theta": np.array([0.25, 0.5])}
        >>> conditions.fit(columns)
        >>> conditions.encode(columns)
        tensor([[ 0.,  1., -1.],
                [ 1.,  0.,  1.]], dtype=torch.float64)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, names: Sequence[str], species: Sequence[int] = ()) -> None:
        super().__init__()
        if "pdg" in names and not species:
            message = (
                "a model conditioned on pdg needs to know the species: give model.species, for example [-11, 22, 211]"
            )
            raise ConfigError(message)
        self.names, self.species = list(names), list(species)
        plain = sum(name != "pdg" for name in names) + ("phi" in names and "theta" not in names)
        self.width = plain + (len(species) if "pdg" in names else 0)
        self.register_buffer("mean", torch.zeros(plain, dtype=torch.float64))
        self.register_buffer("std", torch.ones(plain, dtype=torch.float64))

    def describe(self) -> dict[str, Any]:
        """All of it, for the header of a file."""
        return {
            "names": self.names, "species": self.species, "mean": self.mean.tolist(), "std": self.std.tolist(),
        }  # fmt: skip

    @classmethod
    def from_description(cls, values: Mapping[str, Any]) -> Conditions:
        """Undo `describe`."""
        conditions = cls(values["names"], values["species"])
        for name in ("mean", "std"):
            getattr(conditions, name).copy_(torch.tensor(values[name], dtype=torch.float64))
        return conditions

    def fit(self, columns: Mapping[str, np.ndarray]) -> None:
        """Standardise by the columns of a training set."""
        values = self._plain(self._checked(columns)) if self.names else None
        if values is not None and len(self.mean):
            spread = values.std(0, correction=0)
            self.mean.copy_(values.mean(0))
            self.std.copy_(torch.where(spread > 1e-9, spread, 1.0))

    def encode(self, columns: Mapping[str, np.ndarray]) -> Tensor:
        """``(n,)`` columns to ``(n, width)`` in float64.

        Raises:
            DataError: a column is missing, or holds a species that the model does not know.
        """
        known = self._checked(columns)
        encoded, of_known_species = self.numbers(known)
        if not bool(of_known_species.all()):
            strange = ", ".join(f"{number:g}" for number in sorted(set(known["pdg"][~of_known_species].tolist())))
            message = f"the model knows the particles {self.species} and not [{strange}]: choose among these, or train with all of them"
            raise DataError(message)
        return encoded

    def numbers(self, columns: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """As `encode`, of tensors, and whether the species of each row, ``(n,)``, is one that the model knows."""
        plain = (self._plain(columns) - self.mean) / self.std
        if "pdg" not in self.names:
            return plain, plain.new_ones(plain.shape[0], dtype=torch.bool)
        is_species = columns["pdg"].unsqueeze(1) == torch.tensor(self.species, dtype=torch.float64)
        return torch.cat([is_species.double(), plain], 1), is_species.any(1)

    def _checked(self, columns: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        missing = [name for name in self.names if name not in columns]
        if missing:
            message = (
                f"the model is conditioned on {', '.join(self.names)}, but the showers have no {missing[0]!r}: give it"
            )
            raise DataError(message)
        return {name: torch.from_numpy(np.array(columns[name], dtype=np.float64)) for name in self.names}

    def _plain(self, columns: Mapping[str, Tensor]) -> Tensor:
        parts = [columns[name] for name in ("x", "y") if name in self.names]
        if "phi" in self.names:
            across = torch.sin(columns["theta"]) if "theta" in self.names else torch.ones_like(columns["phi"])
            parts += [across * torch.cos(columns["phi"]), across * torch.sin(columns["phi"])]
        elif "theta" in self.names:
            parts.append(columns["theta"])
        one = next(iter(columns.values()))
        return torch.stack(parts, 1) if parts else one.new_zeros(one.shape[0], 0)
