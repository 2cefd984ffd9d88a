"""Equivariant linear maps of irreducible tensors."""

from __future__ import annotations

from typing import Any

import torch
from e3nn import o3
from torch import Tensor, nn


class TensorLinear(nn.Module):
    r"""Linear map that commutes with rotations and inversions: copies of one irrep are mixed, components are not.

    :math:`y_{e,lm} = n_l^{-1/2} \sum_{c=1}^{n_l} W^l_{ce}\, x_{c,lm}` over all copies of the irrep in the input. It is
    `e3nn.o3.Linear` with the same weights in the same order, without the code that e3nn writes and compiles for each
    layer: a network is built and copied in milliseconds. Geiger and Smidt, arXiv:2207.09453, section 4.1.

    Parameters
    ----------
    irreps_in, irreps_out : o3.Irreps
        A result whose irrep is not in the input is zero.

    Attributes
    ----------
    weight : Tensor, (number of weights,)
        Normal with unit variance at first; the blocks (copies in, copies out) follow each other by the position of the
        irrep in the input, then in the output.

    Examples
    --------
    >>> mix = TensorLinear(o3.Irreps("4x0e+2x1o"), o3.Irreps("3x1o+1x0e"))
    >>> mix(torch.ones(5, 10)).shape, mix.weight.shape
    (torch.Size([5, 10]), torch.Size([10]))
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> None:
        super().__init__()
        self._blocks_in = [(copies, irrep.dim) for copies, irrep in irreps_in]
        self._blocks_out = [(copies, irrep.dim) for copies, irrep in irreps_out]
        pairs = [(i, o) for i, (_, a) in enumerate(irreps_in) for o, (_, b) in enumerate(irreps_out) if a == b]
        self._sizes = [irreps_in[i].mul * irreps_out[o].mul for i, o in pairs]
        #: For each result, the inputs of its irrep and the blocks of weights that they take.
        self._paths = [[(i, k) for k, (i, p) in enumerate(pairs) if p == o] for o in range(len(irreps_out))]
        self.weight = nn.Parameter(torch.randn(sum(self._sizes)))

    def forward(self, tensors: Tensor) -> Tensor:
        """Tensors (..., D') of `irreps_out` from tensors (..., D) of `irreps_in`."""
        widths = [copies * dim for copies, dim in self._blocks_in]
        inputs = [
            block.unflatten(-1, shape)
            for block, shape in zip(tensors.split(widths, dim=-1), self._blocks_in, strict=True)
        ]
        weights = self.weight.split(self._sizes)
        results = []
        for (copies, dim), paths in zip(self._blocks_out, self._paths, strict=True):
            if not paths:
                results.append(tensors.new_zeros(*tensors.shape[:-1], copies * dim))
                continue
            matrix = torch.cat([weights[k].view(-1, copies) for _, k in paths])
            mixed = torch.cat([inputs[i] for i, _ in paths], dim=-2)
            results.append(((matrix.T * len(matrix) ** -0.5) @ mixed).flatten(-2))
        return torch.cat(results, dim=-1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        for name in ("bias", "output_mask"):  # constants that e3nn stores beside the weights, in older files
            state_dict.pop(prefix + name, None)
        super()._load_from_state_dict(state_dict, prefix, *rest)
