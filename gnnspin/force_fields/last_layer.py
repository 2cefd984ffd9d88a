r"""Posterior variance of the torque from the last layer of one model, and a cheap stand-in for it.

The site energies are linear in the weights w of their last maps, :math:`\epsilon_j = w\cdot z_j(S)`, and so is the
torque: :math:`T_i = J_i w` with :math:`J_i = S_i\times(-\partial/\partial S_i)\sum_j z_j`, a 3 x P matrix. With the
weights' covariance C the torque's variance is :math:`\sigma_i^2 = \mathrm{tr}\,J_i C J_i^T`, and the covariance of a
least-squares fit of torques is proportional to the inverse of :math:`\sum_i J_i^T J_i` (Laplace approximation;
last-layer prediction rigidity: Bigi, Chong, Ceriotti, Grasselli, doi:10.1088/2632-2153/ad805f). That takes P
backward passes. Its logarithm is therefore learned, from the hidden units z of a site and their mean over its
neighbours, which the evaluation of the field has already computed; no exact label is needed for that, and states of all
kinds can be shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import torque
from gnnspin.graphs import GraphSpec, radius_graph
from gnnspin.models.base import HiddenUnits, SpinModel
from gnnspin.systems import SpinSystem

#: Largest number of hidden units that are used as they are; more are mixed at random.
_LARGEST = 48

#: Width of the network that stands in for the variance.
_WIDTH = 16

#: Ridge of the weights' precision, relative to its mean diagonal.
_RIDGE = 1e-8

_STEPS, _BATCH, _RATE = 2500, 1024, 5e-3


def has_uncertain_weights(model: SpinModel) -> bool:
    """Whether a model can have error bars of its own: a last linear layer, or weights that were solved for."""
    return model.conservative and bool(model.hidden_units or model.solved)


def require_uncertain_weights(model: SpinModel) -> None:
    """InvalidInput if a model cannot have error bars of its own, see `has_uncertain_weights`."""
    if not has_uncertain_weights(model):
        require_hidden_units(model)


def require_hidden_units(model: SpinModel) -> tuple[HiddenUnits, ...]:
    """Hidden units of a model; InvalidInput if it has none or no energy."""
    if not model.hidden_units or not model.conservative:
        raise InvalidInput(
            f"{model.name} has no last linear layer whose weights could be uncertain; use a committee of models"
        )
    return model.hidden_units


@contextmanager
def recorded(model: SpinModel) -> Iterator[list[list[Tensor]]]:
    """Outputs of the hidden units during the block, a list for each."""
    units = require_hidden_units(model)
    seen: list[list[Tensor]] = [[] for _ in units]
    handles = [
        unit.module.register_forward_hook(lambda _, __, output, k=k: seen[k].append(output))
        for k, unit in enumerate(units)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def hidden_of(model: SpinModel, seen: list[list[Tensor]], spins: Tensor) -> Tensor:
    """Hidden units (R, N, P) of spins (R, N, 3), of what `recorded` gave."""
    found = []
    for unit, outputs in zip(model.hidden_units, seen, strict=True):
        if unit.sites_last:
            (values,) = outputs
            found.append((values.mean(1) if values.ndim == 4 else values).transpose(1, 2))
        else:
            found.append(
                torch.cat([each.reshape(-1, each.shape[-1]) for each in outputs]).reshape(*spins.shape[:2], -1)
            )
    return torch.cat(found, dim=-1)


@dataclass(frozen=True)
class Surroundings(TensorContainer):
    """Mean over the neighbours of each site, the nearest shell of a lattice, as a sparse matrix (N, N)."""

    matrix: Tensor

    @classmethod
    def of(cls, system: SpinSystem, spec: GraphSpec) -> Surroundings:
        """Neighbours within the first shell, or within half the cutoff where there are no shells."""
        cutoff = spec.cutoff / 2 if spec.shells is None else spec.shells[0] * 1.01
        index = radius_graph(system, cutoff=cutoff).edge_index
        count = torch.bincount(index[1], minlength=system.n_sites).clamp_min(1)
        values = 1.0 / count[index[1]].to(torch.float64)
        shape = (system.n_sites, system.n_sites)
        return cls(torch.sparse_coo_tensor(index.flip(0), values, shape, check_invariants=False).coalesce())

    def mean(self, values: Tensor) -> Tensor:
        """Means (R, N, P) of values (R, N, P)."""
        replicas, sites, size = values.shape
        matrix = self.matrix.to(values)
        flat = torch.sparse.mm(matrix, values.transpose(0, 1).reshape(sites, replicas * size))
        return flat.reshape(sites, replicas, size).transpose(0, 1)


class VarianceNetwork(nn.Module):
    """Logarithm of the torque's posterior standard deviation from hidden units of a site and its neighbours' mean.

    Parameters
    ----------
    n_hidden : int
        Number P of hidden units.

    Attributes
    ----------
    offset, floor : scalar buffers
        What is added to the learned logarithm, and the least value of that before; none unless a member of a family is
        outside of its range.
    """

    mixing: Tensor
    mean: Tensor
    inverse_spread: Tensor
    offset: Tensor
    floor: Tensor
    covariance: Tensor

    def __init__(self, n_hidden: int) -> None:
        super().__init__()
        size = min(n_hidden, _LARGEST)
        self.register_buffer("mixing", torch.eye(n_hidden))
        if size < n_hidden:
            generator = torch.Generator().manual_seed(0)
            self.mixing = torch.randn(n_hidden, size, generator=generator) / n_hidden**0.5
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("inverse_spread", torch.ones(size))
        self.register_buffer("offset", torch.zeros(()))
        self.register_buffer("floor", torch.full((), -torch.inf))
        self.register_buffer("covariance", torch.eye(size, dtype=torch.float64))
        widths = (2 * size, _WIDTH, _WIDTH, 1)
        self.network = nn.Sequential(
            nn.Linear(widths[0], widths[1]), nn.SiLU(), nn.Linear(widths[1], widths[2]), nn.SiLU(),
            nn.Linear(widths[2], widths[3]),
        )  # fmt: skip

    def features(self, hidden: Tensor, surroundings: Surroundings) -> Tensor:
        """Inputs (R, N, 2 P') of hidden units (R, N, P), bounded where they are far from those calibrated on."""
        spread = self.inverse_spread.to(hidden)
        flat = hidden.reshape(-1, hidden.shape[-1])
        standard = torch.addmm(-self.mean.to(hidden) * spread, flat, self.mixing.to(hidden) * spread)
        # asinh, which torch computes number by number
        own = torch.copysign(torch.log(standard.abs() + torch.sqrt(standard.square() + 1)), standard)
        own = own.reshape(*hidden.shape[:-1], -1)
        return torch.cat([own, surroundings.mean(own)], dim=-1)

    def forward(self, hidden: Tensor, surroundings: Surroundings) -> Tensor:
        """Standard deviations (R, N), up to the factor of the calibration."""
        learned = self.network(self.features(hidden, surroundings).float())[..., 0]
        return torch.exp(torch.maximum(learned, self.floor) + self.offset)

    def on(self, device: torch.device) -> VarianceNetwork:
        """The network on a device, in place."""
        return self if self.offset.device == device else self.to(device)

    def fit(self, inputs: Tensor, target: Tensor, seed: int) -> float:
        """Learn logarithms (n,) from inputs (n, 2 P'); returns the share of their variance that is left."""
        self.offset.copy_(target.mean())
        wanted = (target - self.offset).float()
        generator = torch.Generator().manual_seed(seed)
        with torch.enable_grad():
            for parameter in self.network.parameters():
                bound = parameter.shape[-1] ** -0.5
                parameter.data.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
            optimizer = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=1e-2)
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _STEPS)
            for _ in range(_STEPS):
                chosen = torch.randint(len(inputs), (_BATCH,), generator=generator)
                loss = (self.network(inputs[chosen])[:, 0] - wanted[chosen]).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        self.requires_grad_(False)
        with torch.no_grad():
            left = (self.network(inputs)[:, 0] - wanted).square().mean() / wanted.square().mean()
        return float(left)


def torque_jacobian(model: SpinModel, data: Any, spins: Tensor, mixing: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives (R, N, 3, P') of the torque by the weights of mixed hidden units, and these units (R, N, P).

    Parameters
    ----------
    model : SpinModel
    data : Any
        What ``model.prepare`` gave, in the precision of `spins`.
    spins : (R, N, 3)
    mixing : (P, P')
    """
    with torch.enable_grad():
        variable = spins.detach().requires_grad_(True)
        with recorded(model) as seen:
            model.site_energies(data, variable)
        hidden = hidden_of(model, seen, variable)
        totals = (hidden @ mixing.to(hidden)).sum((0, 1))
        columns = [torch.autograd.grad(total, variable, retain_graph=True)[0] for total in totals]
    gradients = torch.stack([torque(spins, -column) for column in columns], dim=-1)
    return gradients.double(), hidden.detach()


def weight_covariance(jacobians: list[Tensor]) -> Tensor:
    """Covariance (P', P') of the last weights, up to a factor: inverse of the mean of J^T J over spins."""
    rows = torch.cat([each.reshape(-1, each.shape[-1]) for each in jacobians])
    precision = 3 * rows.T @ rows / len(rows)
    ridge = _RIDGE * float(precision.diagonal().mean())
    return torch.linalg.inv(precision + max(ridge, 1e-300) * torch.eye(len(precision), dtype=precision.dtype))


def posterior_deviation(jacobian: Tensor, covariance: Tensor, surroundings: Surroundings) -> Tensor:
    """Standard deviations (R, N) of the torque; half of the variance is the mean of that of the neighbours.

    What makes the error of a spin large does so for its neighbours: the mean ranks errors better than a spin's own.
    """
    variance = torch.einsum("rnxp,pq,rnxq->rn", jacobian, covariance, jacobian).clamp_min(0)
    return (0.5 * variance + 0.5 * surroundings.mean(variance[..., None])[..., 0]).sqrt()


def unlike_states(system: SpinSystem, count: int, seed: int) -> Tensor:
    """Noisy single spirals (count, N, 3) of random wave vectors and opening angles: states that labels rarely hold.

    Ferromagnets, Neel, stripe and 120-degree orders are among them. On a periodic system the wave vectors are
    reciprocal to its cell.
    """
    generator = np.random.default_rng([seed, 0x5350495241])
    reciprocal = 2 * np.pi * np.linalg.inv(system.cell).T
    longest = np.maximum(1, np.floor(np.linalg.norm(system.cell, axis=1) / max(system.spacing, 1e-9))).astype(int)
    found = []
    for _ in range(count):
        phase = system.positions @ (generator.integers(0, longest + 1) @ reciprocal)
        opening = generator.uniform(0, np.pi / 2)
        spiral = np.stack([np.cos(phase) * np.sin(opening), np.sin(phase) * np.sin(opening)], axis=-1)
        vectors = np.concatenate([spiral, np.full((len(phase), 1), np.cos(opening))], axis=-1)
        noise = 10 ** generator.uniform(-1.5, 0.2)
        vectors = vectors + noise * generator.standard_normal(vectors.shape)
        found.append(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
    return torch.from_numpy(np.stack(found))
