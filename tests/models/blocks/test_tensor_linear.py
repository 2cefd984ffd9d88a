"""The equivariant linear map is that of e3nn."""

from __future__ import annotations

import copy

import pytest
import torch
from e3nn import o3

from gnnspin.models.blocks.tensor_linear import TensorLinear

CASES = [
    ("4x0e+2x1o", "3x1o+1x0e"),
    ("2x0e+3x1e+1x0e+2x1e", "2x1e+4x0e+1x1e"),
    ("1x0e+1x1o", "2x0e+2x1o+2x2e"),
    ("1x2o", "3x1e"),
]


@pytest.mark.parametrize(("irreps_in", "irreps_out"), CASES)
def test_values_and_files_are_those_of_e3nn(irreps_in: str, irreps_out: str) -> None:
    """Same weights by the same seed, same results; a state written by e3nn loads."""
    irreps = o3.Irreps(irreps_in), o3.Irreps(irreps_out)
    torch.manual_seed(3)
    theirs = o3.Linear(*irreps).double()
    torch.manual_seed(3)
    ours = TensorLinear(*irreps).double()
    assert torch.equal(ours.weight, theirs.weight)
    fresh = TensorLinear(*irreps).double()
    fresh.load_state_dict(theirs.state_dict())
    tensors = torch.randn(2, 5, 3, irreps[0].dim, dtype=torch.float64)
    for linear in (ours, fresh, copy.deepcopy(ours)):
        torch.testing.assert_close(linear(tensors), theirs(tensors), atol=1e-14, rtol=1e-13)


def test_rotations_and_inversion_commute_with_the_map() -> None:
    irreps = o3.Irreps("2x0e+3x1e+1x2o"), o3.Irreps("2x1e+2x2o+1x0e")
    linear = TensorLinear(*irreps).double()
    rotation = -o3.rand_matrix(dtype=torch.float64)
    before, after = (side.D_from_matrix(rotation) for side in irreps)
    tensors = torch.randn(7, irreps[0].dim, dtype=torch.float64)
    torch.testing.assert_close(linear(tensors @ before.T), linear(tensors) @ after.T, atol=1e-12, rtol=0)
