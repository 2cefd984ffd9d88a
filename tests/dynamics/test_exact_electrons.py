"""Every exact solver drives spins through the same call, and is rebuilt from the trajectory on resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gnnspin.core import random_spins
from gnnspin.dynamics import resume, simulate
from gnnspin.electrons import ExactDiagonalization, KernelPolynomial, PoleExpansion, SDHamiltonian
from gnnspin.systems import square

HAMILTONIAN = SDHamiltonian(square(6, 6), J=3.0)
SOLVERS = {
    "diagonalisation": ExactDiagonalization(HAMILTONIAN, 0.1, filling=0.4),
    "poles": PoleExpansion(HAMILTONIAN, 0.1, filling=0.4, tolerance=1e-9),
    "polynomials": KernelPolynomial(HAMILTONIAN, 0.1, filling=0.4, tolerance=1e-9),
}
SETTINGS = {"dt": 0.1, "damping": 0.3, "kT": 0.01, "seed": 3, "progress": False}


def test_all_solvers_give_one_trajectory() -> None:
    start = random_spins(36, replicas=(2,), seed=0)
    ends = [simulate(source, start, n_steps=5, **SETTINGS).spins for source in SOLVERS.values()]  # type: ignore[arg-type]
    for end in ends[1:]:
        assert torch.allclose(end, ends[0], atol=1e-7)
    assert float((ends[0] - start).abs().max()) > 0.01


@pytest.mark.parametrize("name", list(SOLVERS))
def test_resumed_from_the_file_alone(name: str, tmp_path: Path) -> None:
    """The source is rebuilt from its specification and the run goes on bit for bit.

    Except for poles at fixed electron number: their search for mu starts from the last one, so a fresh source gives the
    same field to the tolerance only.
    """
    start = random_spins(36, seed=0)
    whole = simulate(SOLVERS[name], start, n_steps=6, **SETTINGS)  # type: ignore[arg-type]
    path = tmp_path / "run.h5"
    simulate(SOLVERS[name], start, n_steps=3, trajectory=path, **SETTINGS)  # type: ignore[arg-type]
    resumed = resume(path, n_steps=3, progress=False).spins
    assert torch.allclose(resumed, whole.spins, atol=1e-8)
    assert name == "poles" or torch.equal(resumed, whole.spins)


def test_poles_at_fixed_mu_resume_bit_for_bit(tmp_path: Path) -> None:
    source, start = PoleExpansion(HAMILTONIAN, 0.1, mu=-1.0), random_spins(36, seed=0)
    whole = simulate(source, start, n_steps=6, **SETTINGS)  # type: ignore[arg-type]
    path = tmp_path / "run.h5"
    simulate(source, start, n_steps=3, trajectory=path, **SETTINGS)  # type: ignore[arg-type]
    assert torch.equal(resume(path, n_steps=3, progress=False).spins, whole.spins)
