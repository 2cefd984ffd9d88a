"""Mixtures of channels keep the size of features, and act on every site and component alike."""

from __future__ import annotations

import torch

from gnnspin.models.blocks.mixing import mix, mixing_matrix


def test_mixtures_have_the_mean_square_of_the_features() -> None:
    torch.manual_seed(0)
    features = torch.randn(50, 1, 400)
    square = mix(mixing_matrix(2000, 50), features).detach().square().mean()
    assert abs(float(square / features.square().mean()) - 1) < 0.02
    assert mixing_matrix(3, 0).shape == (3, 0)


def test_mixtures_are_sums_over_channels() -> None:
    matrix, features = torch.randn(4, 3), torch.randn(2, 5, 3, 7, 6)
    torch.testing.assert_close(mix(matrix, features), torch.einsum("dc,rxcmn->rxdmn", matrix, features))
