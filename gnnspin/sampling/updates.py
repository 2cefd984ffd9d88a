"""Sample the Boltzmann distribution ``exp(-E / kT)`` of unit spins: Metropolis, heat bath and Langevin sweeps.

A sampler holds the source, the temperatures and the seed; its state is the spins and the number of sweeps. All random
numbers are functions of (seed, replica, sweep, site), so that a state is all that is needed to continue a run bit for
bit, and a replica gives the same chain alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, random_spins
from gnnspin.dynamics.algebra import components, dot, normalized, tangent, vectors
from gnnspin.dynamics.simulate import simulate
from gnnspin.sampling.coloring import check_colors, color_sites, coupled_sites, field_tolerance
from gnnspin.sampling.energy_change import ENERGY_CHANGES, EnergyChange, energy_difference
from gnnspin.sampling.sampler import Sampler, SamplerState


class HeatBath(Sampler):
    """Heat bath for sources that are linear in each spin (exchange, Dzyaloshinskii-Moriya, Zeeman).

    Given the others, a spin has the energy ``-S_i.H_i``; it is drawn anew with ``x = |H_i| / kT``, uniform v and
    uniform azimuth about the field::

        cos(theta) = 1 + ln[1 - v (1 - exp(-2x))] / x

    A sweep updates one colour after the other, each spin once, and may be followed by over-relaxation sweeps, which
    turn every spin by pi about its field: the energy is kept, and configurations decorrelate faster. Miyatake et al.,
    J. Phys. C 19, 2539 (1986), doi:10.1088/0022-3719/19/14/020; Creutz, Phys. Rev. D 36, 515 (1987),
    doi:10.1103/PhysRevD.36.515.

    Parameters
    ----------
    source, kT, seed, replicas
        As in `Sampler`.
    overrelaxation : int
        Over-relaxation sweeps after each heat-bath sweep. They alone are not ergodic.
    cutoff : float, optional
        Range of the interactions; default: they are found, see `coupled_sites`.

    Raises
    ------
    InvalidInput
        If a spin's field depends on the spin itself or on one of its own colour, or an argument is out of range.
    """

    def __init__(
        self,
        source: FieldSource,
        kT: float | ArrayLike,
        *,
        overrelaxation: int = 0,
        cutoff: float | None = None,
        seed: int = 0,
        replicas: Sequence[int] | None = None,
    ) -> None:
        super().__init__(source, kT, seed=seed, replicas=replicas)
        self.overrelaxation = whole_at_least(overrelaxation, 0, "overrelaxation")
        self.colors = color_sites(coupled_sites(source, cutoff))
        check_colors(source, self.colors)
        _check_linear(source, self.colors)

    def sweep(self, state: SamplerState) -> SamplerState:
        """Update every spin once, with one field evaluation per colour, and as many per over-relaxation sweep."""
        planes, noise, kT = components(state.spins).clone(), self._noise(state, 0), self._temperatures(state)
        colors = self._groups(self.colors, planes.device)
        for sites in colors:
            field = self._field(planes)[..., sites]
            planes[..., sites] = heat_bath_spins(field, kT, noise[..., sites])
        for sites in colors * self.overrelaxation:
            axis, old = normalized(self._field(planes)[..., sites]), planes[..., sites]
            turned = 2 * dot(old, axis) * axis - old
            planes[..., sites] = normalized(torch.where(turned.isfinite(), turned, old))
        done = as_spins(vectors(planes))  # a field that is not finite ends here
        return SamplerState(done, state.step + 1, state.accepted + 1)


def heat_bath_spins(field: Tensor, kT: Tensor | float, noise: Tensor) -> Tensor:
    """Spins (3, ..., n) drawn from ``exp(S.H / kT)`` for fields (3, ..., n), from standard normals of the same shape.

    The part g of the normals perpendicular to the field gives both numbers that are needed: its direction the azimuth,
    and ``v = exp(-|g|^2 / 2)``, uniform in (0, 1) and independent of it, the polar angle.
    """
    strength = dot(field, field).sqrt()
    z = torch.zeros_like(field)
    z[2] = 1.0
    axis = torch.where(strength > 0, field / strength, z)
    aside = tangent(noise, axis)
    square = dot(aside, aside)
    x = (strength / kT).clamp_min(1e-30)
    deficit = -torch.log1p(torch.exp(-0.5 * square) * torch.expm1(-2 * x)) / x  # 1 - cos(theta)
    sine = (deficit * (2 - deficit)).clamp_min(0).sqrt()
    return normalized((1 - deficit) * axis + sine * square.clamp_min(1e-30).rsqrt() * aside)


class Metropolis(Sampler):
    """Metropolis updates of single spins; spins that do not interact are updated at once.

    A move proposes ``S' = (S + w g) / |S + w g|`` with normal g, which is symmetric, and accepts it with the
    probability ``min(1, exp(-dE / kT))``. The energy changes of all spins of one colour come from fields: exactly from
    one evaluation if the energy is linear in each spin, from two if it is quadratic (single-ion anisotropy, biquadratic
    exchange), else from the field integrated along the arc to the new spin; which of these holds is found at the start.
    Where none does, or with ``sequential=True``, spins are updated one after the other through energy differences,
    which is right for every source with an energy and slow: 2 N energies per sweep. Metropolis et al., J. Chem. Phys.
    21, 1087 (1953), doi:10.1063/1.1699114.

    Parameters
    ----------
    source, kT, seed, replicas
        As in `Sampler`.
    width : float or array
        Size w of a move, one number or one per replica; about ``sqrt(kT / |H|)`` accepts half the moves at low
        temperatures, 10 and more proposes uniformly on the sphere.
    cutoff : float, optional
        Range of the interactions; default: they are found, see `coupled_sites`.
    sequential : bool
        Update one spin at a time.

    Raises
    ------
    InvalidInput
        If an argument is out of range or spins of one colour interact.
    NoEnergyError
        If the source has no energy.
    """

    def __init__(
        self,
        source: FieldSource,
        kT: float | ArrayLike,
        *,
        width: float | ArrayLike = 0.6,
        cutoff: float | None = None,
        sequential: bool = False,
        seed: int = 0,
        replicas: Sequence[int] | None = None,
    ) -> None:
        super().__init__(source, kT, seed=seed, replicas=replicas)
        source._require_energy()
        self.width = torch.as_tensor(width, dtype=torch.float64)
        if not bool((self.width > 0).all()):
            raise InvalidInput(f"width={width!r} must be positive")
        found = None if sequential else _colors_and_rule(source, cutoff)
        self.sequential = found is None
        self.colors = list(torch.arange(source.system.n_sites).split(1)) if found is None else found[0]
        self.energy_change: EnergyChange = energy_difference if found is None else found[1]

    def sweep(self, state: SamplerState) -> SamplerState:
        planes, kT = components(state.spins).clone(), self._temperatures(state)
        width = self.width.to(planes.device, planes.dtype)[..., None]
        kick, uniform = self._noise(state, 0) * width, _uniform(self._noise(state, 1))
        accepted = torch.zeros_like(state.accepted)
        for sites in self._groups(self.colors, planes.device):
            old = planes[..., sites]
            new = normalized(old + kick[..., sites])
            change = self.energy_change(self.source, planes, sites, new).to(kT.dtype)
            accept = uniform[..., sites] < torch.exp(-change / kT)
            planes[..., sites] = torch.where(accept, new, old)
            accepted += accept.sum(-1)
        return SamplerState(vectors(planes), state.step + 1, state.accepted + accepted / state.spins.shape[-2])


class Langevin(Sampler):
    """Sampling by damped, noisy Landau-Lifshitz-Gilbert dynamics, for every source; a sweep is `n_steps` time steps.

    Averages carry a bias of order dt: measure at two time steps and extrapolate.

    Parameters
    ----------
    source, kT, seed, replicas
        As in `Sampler`.
    dt, damping, integrator
        As in `simulate`.
    n_steps : int
        Time steps per sweep.
    """

    def __init__(
        self,
        source: FieldSource,
        kT: float | ArrayLike,
        *,
        dt: float,
        damping: float = 0.5,
        n_steps: int = 10,
        integrator: str = "semi_implicit",
        seed: int = 0,
        replicas: Sequence[int] | None = None,
    ) -> None:
        super().__init__(source, kT, seed=seed, replicas=replicas)
        if n_steps < 1:
            raise InvalidInput(f"n_steps={n_steps} must be at least 1")
        self.options: dict[str, Any] = {"dt": dt, "damping": damping, "n_steps": n_steps, "integrator": integrator}

    def sweep(self, state: SamplerState) -> SamplerState:
        shape = state.spins.shape[:-2]
        kT = self.kT.expand(shape)[..., None] if self.kT.ndim else float(self.kT)
        run = simulate(
            self.source,
            state.spins,
            kT=kT,
            seed=_mixed(self.seed, state.step),
            replicas=self.replicas,
            progress=False,
            **self.options,
        )
        return replace(state, spins=run.spins, step=state.step + 1, accepted=state.accepted + 1)


def _uniform(noise: Tensor) -> Tensor:
    """Uniform numbers in (0, 1) from pairs of normals."""
    return torch.exp(-0.5 * (noise[0].square() + noise[1].square()))


def _mixed(seed: int, step: int) -> int:
    """Another seed for every sweep (SplitMix64, doi:10.1145/2714064.2660195)."""
    word = (seed + (step + 1) * 0x9E3779B97F4A7C15) % 2**64
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


def _check_linear(source: FieldSource, colors: list[Tensor]) -> None:
    """Raise InvalidInput if the field on a spin depends on that spin."""
    spins, other = (random_spins(source.system.n_sites, seed=s).to(source.device) for s in (0, 1))
    before = source.field(spins)
    for sites in (group.to(source.device) for group in colors):
        changed = spins.clone()
        changed[sites] = other[sites]
        shift = float((source.field(changed) - before)[sites].abs().max())
        if shift > field_tolerance(source) * float(before.norm(dim=-1).max()):
            raise InvalidInput(
                f"a spin's field depends on the spin itself (it changes by {shift:.1e}): the energy is not linear in "
                "each spin, and there is no heat bath for it; use Metropolis"
            )


def _colors_and_rule(source: FieldSource, cutoff: float | None) -> tuple[list[Tensor], EnergyChange] | None:
    """Colours, and the cheapest exact rule for the energy changes of one; None if there is none."""
    colors = color_sites(coupled_sites(source, cutoff))
    if len(colors) == source.system.n_sites:
        return None
    check_colors(source, colors)
    spins, other = (components(random_spins(source.system.n_sites, seed=s).to(source.device)) for s in (0, 1))
    for rule in ENERGY_CHANGES:
        for sites in (group.to(source.device) for group in colors):
            changed = spins.clone()
            changed[..., sites] = other[..., sites]
            energies = source.energy(vectors(torch.stack([spins, changed], 1))).reshape(2, -1).sum(-1)
            single = rule(source, spins, sites, other[..., sites])
            bound = field_tolerance(source) * (float(single.abs().sum()) + float(energies.abs().max()))
            if abs(float(single.sum() - (energies[1] - energies[0]))) > bound:
                break
        else:
            return colors, rule
    return None
