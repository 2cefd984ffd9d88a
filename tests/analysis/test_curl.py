"""Curl of fields: none of a gradient, that of known torques by hand, and how a model's is compared with it."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.analysis import curl_agreement, field_curl
from gnnspin.core import InvalidInput, random_spins

SYSTEM = gs.systems.square(4, 4)
SPINS = random_spins(16, seed=1)
EXCHANGE = gs.classical.Heisenberg(SYSTEM, J=0.7)


def test_an_energy_has_no_curl_and_its_derivative_is_the_exchange() -> None:
    found = field_curl(EXCHANGE, SPINS, [0, 1, 2])
    assert float(found.curl.abs().max()) < 1e-8
    neighbors = found.derivative[2:4, 0:2]  # e_1 . dH_1 / dS_0 = J e_1 . e_0
    frames = gs.analysis.field_response.tangent_frames(SPINS[:2])
    torch.testing.assert_close(neighbors, 0.7 * frames[1] @ frames[0].T, atol=1e-6, rtol=0)
    assert float(found.derivative[4:6, 0:2].abs().max()) < 1e-9  # second neighbours
    own = -float(SPINS[0] @ EXCHANGE.field(SPINS)[0])
    torch.testing.assert_close(found.derivative[:2, :2], own * torch.eye(2, dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_field_along_the_spins_does_not_count() -> None:
    """``H + c S`` has the torque of H, and the derivative too."""

    class Longer(gs.core.FieldSource):
        def __init__(self) -> None:
            self.system = SYSTEM

        def fields(self, spins: torch.Tensor, time: float | None = None) -> torch.Tensor:
            return EXCHANGE.fields(spins, time) + 3.0 * spins

    plain, longer = (field_curl(source, SPINS, [0, 5, 6]).derivative for source in (EXCHANGE, Longer()))
    torch.testing.assert_close(plain, longer, atol=1e-5, rtol=0)


def test_a_slonczewski_torque_is_a_pair_and_a_zhang_li_torque_is_none() -> None:
    """``p x S`` comes from ``G = p.S`` of each site; a gradient along a current cannot come from one G."""
    slonczewski = gs.classical.SlonczewskiTorque(SYSTEM, 0.3, polarization=(0, 0, 1))
    drift = gs.classical.ZhangLi(SYSTEM, (0.4, 0.0, 0.0))
    local, moving = (field_curl(source, SPINS, range(16)) for source in (slonczewski, drift))
    assert local.share > 0.9
    assert local.of_a_pair == pytest.approx(1, abs=1e-8)
    assert moving.of_a_pair < 0.9
    assert (EXCHANGE + slonczewski).has_energy is False


def test_agreement_tells_what_a_model_lacks() -> None:
    """A gradient that is right knows nothing of the curl; half of the torque has three quarters of it."""
    sites, spins = range(16), [SPINS, random_spins(16, seed=2)]
    torque = gs.classical.SlonczewskiTorque(SYSTEM, 0.3, polarization=(0, 0, 1))
    half = gs.classical.SlonczewskiTorque(SYSTEM, 0.15, polarization=(0, 0, 1))
    exact, energy, partly = (
        [field_curl(source, each, sites) for each in spins] for source in (EXCHANGE + torque, EXCHANGE, EXCHANGE + half)
    )
    blind, near = curl_agreement(energy, exact), curl_agreement(partly, exact)
    assert blind.curl_r2 == pytest.approx(0, abs=1e-7)
    assert blind.model_share < 1e-12
    assert near.curl_r2 == pytest.approx(0.75, abs=1e-6)
    assert near.exact_share == pytest.approx(blind.exact_share)
    with pytest.raises(InvalidInput, match="same configurations"):
        curl_agreement(energy[:1], exact)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((SPINS[None], [0]), "one replica"), ((SPINS, [0, 0]), "different sites"), ((SPINS, [16]), "different sites")],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        field_curl(EXCHANGE, *arguments)
    with pytest.raises(InvalidInput, match="step=0"):
        field_curl(EXCHANGE, SPINS, [0], step=0)
