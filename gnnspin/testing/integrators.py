"""Laws of every integration step: inherit `IntegratorPhysics` and name the integrator."""

from __future__ import annotations

import math
from abc import ABC
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gnnspin.classical import Heisenberg, Zeeman
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.dynamics import resume, simulate
from gnnspin.systems.lattices import chain


class Shifted(FieldSource):
    """Another source's field with a multiple of every spin added, which does nothing to the motion."""

    def __init__(self, source: FieldSource, radial: float) -> None:
        self.system, self.source, self.radial = source.system, source, radial

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        return self.source.fields(spins, time) + self.radial * spins


class IntegratorPhysics(ABC):
    """Laws of a step of ``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x H)``; a subclass sets `integrator`.

    Attributes
    ----------
    integrator : str
        Name of a registered integrator.
    order : int
        Order of convergence at kT = 0.
    """

    integrator: str
    order: int = 2

    def end(self, source: FieldSource, spins: Tensor, dt: float, duration: float, **options: Any) -> Tensor:
        """Spins after `duration`."""
        n_steps = round(duration / dt)
        return simulate(source, spins, dt=dt, n_steps=n_steps, integrator=self.integrator, **options).spins

    def test_spin_along_x_in_a_field_along_z_first_moves_to_minus_y(self) -> None:
        """The sense of precession: ``dS/dt = S x H``."""
        spins = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
        moved = self.end(Zeeman(chain(1, pbc=False), (0.0, 0.0, 1.0)), spins, 0.01, 0.01, damping=0.0)
        torch.testing.assert_close(moved, torch.tensor([[1.0, -0.01, 0.0]], dtype=torch.float64), atol=1e-4, rtol=0)

    def test_damped_precession_follows_its_closed_form(self) -> None:
        """``phi = -B t``, ``S_z = tanh(lambda B t)``."""
        field, damping, duration = 1.3, 0.2, 4.0
        spins = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
        source = Zeeman(chain(1, pbc=False), (0.0, 0.0, field))
        across, phi = 1 / math.cosh(damping * field * duration), -field * duration
        exact = torch.tensor([[across * math.cos(phi), across * math.sin(phi), math.tanh(damping * field * duration)]])
        for dt in (0.05, 0.025):
            end = self.end(source, spins, dt, duration, damping=damping)
            torch.testing.assert_close(end, exact.double(), atol=dt**self.order, rtol=0)

    def test_damped_pair_aligns_along_the_tanh_law(self) -> None:
        """``S1.S2(t) = tanh(2 lambda J t + artanh c0)``."""
        exchange, damping, duration, cosine, dt = 0.8, 0.3, 3.0, -0.4, 0.025
        spins = torch.tensor([[1.0, 0.0, 0.0], [cosine, math.sqrt(1 - cosine**2), 0.0]], dtype=torch.float64)
        end = self.end(Heisenberg(chain(2, pbc=False), exchange), spins, dt, duration, damping=damping)
        exact = math.tanh(2 * damping * exchange * duration + math.atanh(cosine))
        assert float(end[0] @ end[1]) == pytest.approx(exact, abs=dt**self.order)

    def test_order_of_convergence(self) -> None:
        """The error of the spins falls with the time step by at least the declared order."""
        source, spins = Heisenberg(chain(6), 1.0), random_spins(6, seed=3)
        reference = self.end(source, spins, 1 / 512, 1.0, damping=0.2)
        errors = [float((self.end(source, spins, dt, 1.0, damping=0.2) - reference).norm()) for dt in (1 / 16, 1 / 64)]
        assert math.log(errors[0] / errors[1], 4) > self.order - 0.2

    def test_field_along_the_spins_changes_nothing(self) -> None:
        """Spins move the same when a multiple of each spin is added to its field."""
        spins, source = random_spins(8, replicas=(3,), seed=1), Heisenberg(chain(8), 1.0)
        plain, shifted = (
            self.end(each, spins, 0.1, 2.0, damping=0.1, kT=0.3) for each in (source, Shifted(source, 5.5))
        )
        assert float((plain - shifted).abs().max()) < 1e-12

    def test_a_moment_scales_the_time(self) -> None:
        """A spin of moment mu moves mu times as slowly, under fields and under noise."""
        source, spins = Heisenberg(chain(6), 1.0), random_spins(6, replicas=(2,), seed=2)
        light = self.end(source, spins, 0.05, 1.0, damping=0.1, kT=0.3)
        heavy = self.end(source, spins, 0.2, 4.0, damping=0.1, kT=0.3, moments=torch.full((6,), 4.0))
        assert float((light - heavy).abs().max()) < 1e-12

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_spins_stay_on_the_sphere_and_keep_their_precision(self, dtype: torch.dtype) -> None:
        """Spins keep unit length to a few roundings, and their dtype."""
        spins = random_spins(6, seed=0, dtype=dtype)
        end = self.end(Heisenberg(chain(6), 1.0), spins, 0.2, 20.0, damping=0.1, kT=0.5)
        assert end.dtype == dtype
        assert float((end.norm(dim=-1) - 1).abs().max()) < 4 * torch.finfo(dtype).eps

    def test_thermal_average_of_a_paramagnet(self) -> None:
        """``<S_z> = coth(B/kT) - kT/B`` of independent spins, within four standard errors and the step's bias."""
        spins = random_spins(1, replicas=(4000,), seed=2)
        source = Zeeman(chain(1, pbc=False), (0.0, 0.0, 1.0))
        end = self.end(source, spins, 0.05, 6.0, damping=0.5, kT=0.5)
        exact = 1 / math.tanh(2.0) - 0.5
        assert float(end[..., 2].mean()) == pytest.approx(exact, abs=4 * 0.5 / math.sqrt(4000) + 0.01)

    def test_a_resumed_run_is_the_uninterrupted_one(self, tmp_path: Path) -> None:
        """Bit for bit, noise included."""
        source, spins, path = Heisenberg(chain(6), 1.0), random_spins(6, seed=4), tmp_path / "run.h5"
        options: dict[str, Any] = {"dt": 0.1, "damping": 0.1, "kT": 0.2, "integrator": self.integrator}
        whole = simulate(source, spins, n_steps=20, **options).spins
        simulate(source, spins, n_steps=8, trajectory=path, **options)
        assert torch.equal(resume(path, n_steps=12).spins, whole)
