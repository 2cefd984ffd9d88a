"""Curl of a field: the part of its derivative that no energy has, compared between a model and the exact solver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.analysis.field_response import tangent_frames, turned_copies
from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins


@dataclass(frozen=True, eq=False)
class FieldCurl:
    """Derivative of the fields on some spins by these spins, along the two directions across each.

    Attributes
    ----------
    derivative : (2 M, 2 M) tensor
        ``e_j^b . dH_j / dS_i^a``, row (j, b), column (i, a), in units of the hopping per radian; of a spin by itself
        less ``S_i . H_i``, as it turns on a sphere: the part of a field along the spins does not count.
    """

    derivative: Tensor

    @property
    def curl(self) -> Tensor:
        """Exterior derivative (2 M, 2 M) of ``sum_j H_j . dS_j``: the derivative less its transpose."""
        return self.derivative - self.derivative.T

    @property
    def share(self) -> float:
        """Part of the derivative's squares that is antisymmetric: 0 for a gradient."""
        return float((self.curl / 2).square().sum() / self.derivative.square().sum())

    @property
    def of_a_pair(self) -> float:
        """Part of the curl's squares that is of type (1, 1), as that of any ``-dE/dS_i + S_i x dG/dS_i`` is.

        Such a curl does not change when both its arguments are turned by a right angle about their spins.
        """
        curl = self.curl
        quarter = torch.block_diag(*[torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=curl.dtype)] * (len(curl) // 2))
        kept = (curl + quarter.T @ curl @ quarter) / 2
        return float(kept.square().sum() / curl.square().sum())


@independent_of_modes
def field_curl(
    source: FieldSource, spins: Tensor | ArrayLike, sites: Sequence[int] | Tensor, *, step: float = 1e-3
) -> FieldCurl:
    """Derivative and curl of the fields of some spins by central differences, 4 M fields.

    On the spheres the curl is the exterior derivative of the one-form ``sum_j H_j . dS_j``. It vanishes for a gradient;
    its square measures how far a field is from any energy, whatever the energy.

    Parameters
    ----------
    source : FieldSource
        A force field in float64; an exact solver whose error is far below `step` times the derivatives.
    spins : (N, 3)
        Unit spins, one replica.
    sites : sequence of M integers
        The spins whose fields are differentiated, and by which.
    step : float
        Angle in radians by which spins are turned.

    Raises
    ------
    InvalidInput
        If the spins have the wrong shape, a site does not exist or appears twice, or the step is not positive.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system, spins = gs.systems.chain(6), gs.core.random_spins(6, seed=0)
    >>> exchange = gs.classical.Heisenberg(system)
    >>> field_curl(exchange, spins, range(6)).share < 1e-12
    True
    """
    checked = as_spins(spins, source.system.n_sites).to(torch.float64)
    chosen = torch.as_tensor(list(sites), dtype=torch.int64)
    if checked.ndim != 2:
        raise InvalidInput(f"spins have shape {tuple(checked.shape)}; give one replica, (n_sites, 3)")
    if (
        not len(chosen)
        or len(chosen.unique()) < len(chosen)
        or not 0 <= int(chosen.min()) <= int(chosen.max()) < len(checked)
    ):
        raise InvalidInput(f"sites={chosen.tolist()} must be different sites of the {len(checked)} that there are")
    if not step > 0:
        raise InvalidInput(f"step={step} must be a positive angle")
    frames = tangent_frames(checked[chosen])
    columns = []
    for site in chosen:
        fields = source.field(turned_copies(checked, site[None], step)[0])[:, :, chosen]  # (2, 2, M, 3)
        slopes = (fields[:, 0] - fields[:, 1]) / (2 * step)
        columns.append(torch.einsum("amx,mbx->amb", slopes, frames).flatten(1))
    along = (checked * source.field(checked)).sum(-1)[chosen].repeat_interleave(2)
    return FieldCurl(torch.cat(columns).T - torch.diag(along))


@dataclass(frozen=True)
class CurlAgreement:
    """How well a model knows the curl of the exact field.

    Attributes
    ----------
    exact_share, model_share : float
        Antisymmetric part of the derivative's squares, exact and of the model.
    of_a_pair : float
        Part of the exact curl's squares that one global pair (E, G) can have.
    curl_r2 : float
        1 less the squared error of the model's curl over the squares of the exact one: 0 for a gradient.
    gradient_r2 : float
        The same for the symmetric part.
    """

    exact_share: float
    model_share: float
    of_a_pair: float
    curl_r2: float
    gradient_r2: float


def curl_agreement(model: Sequence[FieldCurl], exact: Sequence[FieldCurl]) -> CurlAgreement:
    """Compare derivatives of a model with the exact ones, of the same spins of several configurations.

    Raises
    ------
    InvalidInput
        If there are none, or their numbers or shapes differ.
    """
    shapes = [[tuple(each.derivative.shape) for each in given] for given in (model, exact)]
    if not model or shapes[0] != shapes[1]:
        raise InvalidInput(f"derivatives of shapes {shapes[0]} and {shapes[1]}; give the same configurations and sites")
    given, wanted = (torch.stack([each.derivative for each in some]) for some in (model, exact))
    odd, even = ([(d - sign * d.mT) / 2 for d in (given, wanted)] for sign in (1, -1))
    squares = [float(each.square().sum()) for each in (*odd, *even)]
    pairs = [each.of_a_pair * float(each.curl.square().sum()) for each in exact]
    return CurlAgreement(
        exact_share=squares[1] / (squares[1] + squares[3]),
        model_share=squares[0] / (squares[0] + squares[2]),
        of_a_pair=sum(pairs) / (4 * squares[1]),
        curl_r2=1 - float((odd[0] - odd[1]).square().sum()) / squares[1],
        gradient_r2=1 - float((even[0] - even[1]).square().sum()) / squares[3],
    )
