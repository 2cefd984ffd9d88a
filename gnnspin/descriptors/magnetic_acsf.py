"""Magnetic atom-centred symmetry functions (M. Shi, S. Zhang, G.-W. Chern, metallic spin glass, eq. 8-16)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from gnnspin.core.containers import TensorContainer
from gnnspin.descriptors.base import Descriptor, DescriptorConfig
from gnnspin.descriptors.neighborhoods import neighbor_blocks
from gnnspin.descriptors.shell_sums import ShellBlock, SymmetryFunctions, diagonal_pair_sums, pair_sums, shell_sums
from gnnspin.graphs import GraphSpec
from gnnspin.systems import SpinSystem

Pairs = tuple[tuple[float, float], ...]

#: Shells of the paper: 50 radii between 0.5 and 2.46, width 0.05.
PAPER_RADIAL: Pairs = tuple((round(0.5 + 0.04 * k, 2), 0.05) for k in range(50))
#: Distances in widths beyond which a Gaussian is below the rounding error of float64.
_REACH = 6.1
#: Extent of a window of shells in widths; the best of several on the spin glass's packing.
_WINDOW = 20.0
#: Largest number of geometric factors that are kept; beyond, they are computed anew in every evaluation.
_FROZEN_VALUES = 2**26

_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {"chirality": "printed"},
    "paper_bonds": {"chirality": "none"},
    "even": {"chirality": "even"},
}


class MagneticACSFConfig(DescriptorConfig):
    """Magnetic symmetry functions; lengths in the units of the positions (the paper's l)."""

    kind: Literal["magnetic_acsf"] = "magnetic_acsf"
    preset: Literal["paper", "paper_bonds", "even"] | None = Field(
        default=None,
        description="fills in what is not given: paper (450 features, 200 of them zero), paper_bonds (250), even",
    )
    radial: Pairs = Field(default=PAPER_RADIAL, min_length=1, description="shells (d, w) around a site")
    angular: Pairs = Field(default=((1.0, 1.0), (1.0, -1.0)), description="angular functions (zeta, lambda)")
    separation: Pairs = Field(
        default=((1.0, 1.0), (2.0, 1.0)), description="(d', w') for the distance between two neighbours"
    )
    chirality: Literal["none", "printed", "even", "odd"] = Field(
        default="even",
        description="printed: G3chi of the paper, identically zero; even: products of two antisymmetric chirality "
        "sums; odd: the sums themselves, which change sign under time reversal",
    )
    chiral_radial: Pairs = Field(
        default=((0.75, 0.35), (1.25, 0.35), (1.75, 0.35), (2.25, 0.35)),
        description="shells (d, w); the pairs d1 < d2 of them are antisymmetrised",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        preset = values.get("preset") if isinstance(values, dict) else None
        return {**_PRESETS.get(preset, {}), **values} if isinstance(preset, str) else values

    @model_validator(mode="after")
    def _check(self) -> MagneticACSFConfig:
        for name in ("radial", "separation", "chiral_radial"):
            for centre, width in getattr(self, name):
                if not (np.isfinite(centre) and np.isfinite(width) and width > 0):
                    raise ValueError(f"{name} holds ({centre}, {width}); the width must be positive")
        for zeta, sign in self.angular:
            if zeta < 0 or abs(sign) > 1:
                raise ValueError(f"angular holds (zeta, lambda) = ({zeta}, {sign}); need zeta >= 0, |lambda| <= 1")
        if bool(self.angular) != bool(self.separation):
            raise ValueError("angular and separation must both have entries, or both none")
        if self.chirality in ("even", "odd") and (len(self.chiral_radial) < 2 or not self.angular):
            raise ValueError(f"chirality={self.chirality!r} needs two shells in chiral_radial, angular and separation")
        return self


@dataclass(frozen=True)
class SiteOrder(TensorContainer):
    """Blocks of sites and the position of each site in their concatenation (N,)."""

    blocks: tuple[ShellBlock, ...]
    position: Tensor

    @property
    def n_values(self) -> int:
        """Number of values that `freeze` keeps."""
        return sum(block.n_values for block in self.blocks)

    def freeze(self) -> SiteOrder:
        """Copy that keeps the values of all functions."""
        return replace(self, blocks=tuple(block.freeze() for block in self.blocks))


@dataclass(frozen=True)
class ACSFGeometry(TensorContainer):
    """Geometry of a system: one `SiteOrder` per window of shells, then one for the chirality where it is asked for."""

    orders: tuple[SiteOrder, ...]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ACSFGeometry:
        """Copy on `device` in `dtype`, with the values of all functions where they are not too many."""
        orders = super().to(device, dtype).orders
        few = sum(order.n_values for order in orders) <= _FROZEN_VALUES
        return ACSFGeometry(tuple(order.freeze() for order in orders) if few else orders)


class MagneticACSF(Descriptor, config=MagneticACSFConfig):
    r"""Invariants of bonds and chiralities attached to symmetry functions of the neighbours' positions.

    With :math:`F_2(R; d, w) = e^{-(R-d)^2/w^2} f_c(R)` and the cosine cutoff
    :math:`f_c(R) = \frac12[\cos(\pi R/R_c) + 1]`,

    .. math::
        G_2^m &= \sum_j F_2(R_{ij}; d, w)\, S_i\cdot S_j \\
        G_3^m &= \sum_{j\neq k} F_3\, S_j\cdot S_k, \qquad
        F_3 = 2^{1-\zeta}(1 + \lambda\cos\theta_{ijk})^\zeta F_2(R_{ij}; d, w) F_2(R_{ik}; d, w) F_2(R_{jk}; d', w')

    Sums over pairs run over both orders; ``j = k``, a constant for unit spins, is left out. The paper's
    :math:`G_3^\chi = \sum_{jk} F_3\, S_i\cdot S_j\times S_k` vanishes identically, since F3 is symmetric in j and k:
    with ``chirality="printed"`` these features are there and are zero. The chirality sums that do not vanish use
    different shells for j and k,

    .. math:: X = \sum_{jk} 2^{1-\zeta}(1 + \lambda\cos\theta_{ijk})^\zeta
        F_2(R_{ij}; d_1, w_1) F_2(R_{ik}; d_2, w_2) F_2(R_{jk}; d', w')\, S_i\cdot S_j\times S_k, \quad d_1 < d_2.

    They are odd under time reversal; ``chirality="even"`` gives all products of two of them.

    Features, in this order: G2m by shell; G3m by (zeta, lambda), (d', w'), shell; chirality.

    Parameters
    ----------
    spec : GraphSpec
        Its cutoff is R_c.
    config : MagneticACSFConfig

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.amorphous(100, 5.0, 0.5, seed=0)
    >>> descriptor = MagneticACSFConfig(preset="paper").build(gs.graphs.GraphSpec(2.5))
    >>> descriptor(descriptor.prepare(system), gs.core.random_spins(100, replicas=(1,), seed=0)).shape
    torch.Size([1, 100, 450])
    """

    config: MagneticACSFConfig
    _position: Tensor
    _pairs: Tensor
    _products: Tensor

    def __init__(self, spec: GraphSpec, config: MagneticACSFConfig) -> None:
        super().__init__(spec, config)
        self._radial = torch.tensor(config.radial, dtype=torch.float64)
        self._order = self._radial[:, 0].argsort(stable=True)
        n_chiral = len(config.chiral_radial)
        n_channels = n_chiral * (n_chiral - 1) // 2 * self._n_kernels
        tables = {
            "_position": self._order.argsort(),
            "_pairs": torch.triu_indices(n_chiral, n_chiral, offset=1),  # chiral shells d1 < d2
            "_products": torch.triu_indices(n_channels, n_channels),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    @property
    def _n_kernels(self) -> int:
        return len(self.config.angular) * len(self.config.separation)

    @property
    def n_features(self) -> int:
        """Number F of features: radial ones, angular kernels of pairs of bonds, and those of the chirality."""
        n_shells, n_channels = len(self.config.radial), self._pairs.shape[1] * self._n_kernels
        chiral = {
            "none": 0,
            "printed": n_shells * self._n_kernels,
            "odd": n_channels,
            "even": n_channels * (n_channels + 1) // 2,
        }
        return n_shells * (1 + self._n_kernels) + chiral[self.config.chirality]

    def prepare(self, system: SpinSystem) -> ACSFGeometry:
        """Neighbours of every site by shells, pairs of bonds and their symmetry functions, in float64."""
        graph = self.spec.graph(system)
        groups = self._windows()
        if self._has_chirality_sums:
            groups.append(torch.tensor(self.config.chiral_radial, dtype=torch.float64))
        return ACSFGeometry(tuple(self._site_order(graph, group) for group in groups))

    @property
    def _has_chirality_sums(self) -> bool:
        return self.config.chirality in ("even", "odd")

    def _windows(self) -> list[Tensor]:
        """Groups of shells close to each other, ascending: pairs of far shells need not be looked at."""
        radial = self._radial[self._order]
        edges, first = [0], 0
        for k, (centre, width) in enumerate(radial.tolist()):
            if centre - float(radial[first, 0]) > _WINDOW * width:
                edges.append(k)
                first = k
        return [radial[a:b] for a, b in pairwise([*edges, len(radial)])]

    def _site_order(self, graph: Any, radial: Tensor) -> SiteOrder:
        functions = SymmetryFunctions(
            cutoff=self.spec.cutoff,
            radial=radial,
            angular=self.config.angular,
            separation=torch.tensor(self.config.separation, dtype=torch.float64).reshape(-1, 2),
        )
        reach = _REACH * radial[:, 1]
        shortest, longest = float((radial[:, 0] - reach).min()), float((radial[:, 0] + reach).max())
        blocks = tuple(ShellBlock(block, functions) for block in neighbor_blocks(graph, shortest, longest))
        sites = torch.cat([block.block.sites for block in blocks])
        return SiteOrder(blocks, sites.argsort())

    def forward(self, data: ACSFGeometry, spins: Tensor) -> Tensor:
        """Features (R, N, F) of spins (R, N, 3): sums over bonds, then those over pairs of chiral shells."""
        windows = data.orders[:-1] if self._has_chirality_sums else data.orders
        bonds = torch.cat([_by_site(window, spins, _bond_sums) for window in windows], dim=-1)
        bonds = bonds[..., self._position].flatten(2)  # (R, N, 1 + M, D) to (R, N, F)
        if self._has_chirality_sums:
            return torch.cat([bonds, self._chirality(data.orders[-1], spins)], dim=-1)
        missing = self.n_features - bonds.shape[-1]
        return torch.cat([bonds, bonds.new_zeros(*bonds.shape[:2], missing)], dim=-1) if missing else bonds

    def _chirality(self, order: SiteOrder, spins: Tensor) -> Tensor:
        """Odd sums (R, N, M * P), or their products."""
        first, second = self._pairs
        odd = _by_site(order, spins, _chirality_sums)[..., first, second].flatten(2)
        if self.config.chirality == "odd":
            return odd
        a, b = self._products
        return odd[..., a] * odd[..., b]


def _by_site(order: SiteOrder, spins: Tensor, sums: Any) -> Tensor:
    """Values of all blocks in the order of the sites."""
    return torch.cat([sums(block, spins) for block in order.blocks], dim=1)[:, order.position]


def _bond_sums(block: ShellBlock, spins: Tensor) -> Tensor:
    """G2m and G3m (R, n, 1 + M, D) of one block."""
    centre, neighbors = spins[:, block.block.sites], spins[:, block.block.neighbors]
    two = shell_sums((neighbors @ centre[..., None]).squeeze(-1), block)[:, :, None]
    if block.n_kernels == 0:
        return two
    return torch.cat([two, diagonal_pair_sums(neighbors @ neighbors.transpose(-1, -2), block)], dim=2)


def _chirality_sums(block: ShellBlock, spins: Tensor) -> Tensor:
    """Chirality sums (R, n, M, D, D) of one block, antisymmetric in the shells."""
    centre, neighbors = spins[:, block.block.sites], spins[:, block.block.neighbors]
    normal = torch.linalg.cross(centre[:, :, None].expand_as(neighbors), neighbors)
    return pair_sums(normal @ neighbors.transpose(-1, -2), block)
