"""Field sources small enough to have closed-form dynamics."""

from __future__ import annotations

import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core import FieldSource


class Bilinear(FieldSource):
    """``E = -1/2 sum_ij J_ij S_i.S_j - sum_i B.S_i``, with an optional field along each spin that does no work."""

    def __init__(self, exchange: Tensor, field: tuple[float, float, float] = (0.0, 0.0, 0.0), radial: float = 0.0):
        self.exchange = exchange.to(torch.float64)
        self._field = self.uniform = torch.tensor(field, dtype=torch.float64)
        self.radial = radial
        self.system = gs.systems.chain(len(exchange), pbc=False)
        self.evaluations = 0

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        return self.energies_and_fields(spins, time)[0]

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        return self.energies_and_fields(spins, time)[1]

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        del time
        self.evaluations += 1
        exchange = torch.einsum("ij,rjc->ric", self.exchange, spins)
        energies = -0.5 * (spins * exchange).sum((-1, -2)) - (spins @ self.uniform).sum(-1)
        return energies, exchange + self.uniform + self.radial * spins


def zeeman(n_sites: int, field: float) -> Bilinear:
    """Independent spins in a field along z."""
    return Bilinear(torch.zeros(n_sites, n_sites), (0.0, 0.0, field))


def ring(n_sites: int, J: float = 1.0, field: float = 0.0) -> Bilinear:
    """Ferromagnetic ring; two sites make a single pair."""
    exchange = J * torch.roll(torch.eye(n_sites), 1, 0)
    return Bilinear(torch.maximum(exchange, exchange.T), (0.0, 0.0, field))


def open_chain(n_sites: int, J: float = 1.0) -> Bilinear:
    """Ferromagnetic open chain."""
    bonds = J * torch.diag(torch.ones(n_sites - 1), 1)
    return Bilinear(bonds + bonds.T)


class Paramagnet(FieldSource):
    """Many independent spins in a field along z, without a coupling matrix."""

    def __init__(self, sites: int | gs.systems.SpinSystem, field: float) -> None:
        self.system = gs.systems.chain(sites) if isinstance(sites, int) else sites
        self._field = self.strength = field

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        del time
        return -self.strength * spins[..., 2].sum(-1)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        del time
        fields = torch.zeros_like(spins)
        fields[..., 2] = self.strength
        return fields
