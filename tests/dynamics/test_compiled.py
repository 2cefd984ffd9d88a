"""Compiled arithmetic and noise are the plain ones to rounding; blocks change nothing."""

from __future__ import annotations

import shutil

import pytest
import torch
from sources import Bilinear, ring

from gnnspin.core import noise as core_noise
from gnnspin.core import random_spins, thermal_noise
from gnnspin.dynamics import drive, resume, simulate

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
STEPS = ["extrapolated_midpoint", "heun", "rotation", "semi_implicit", "spherical_midpoint"]


@pytest.mark.parametrize("noise", ["precession", "both"])
@pytest.mark.parametrize("integrator", STEPS)
def test_blocks_change_nothing(integrator, noise, monkeypatch):
    spins = random_spins(40, replicas=(3,), seed=0)
    damping, kT = torch.rand(3, 40, generator=torch.Generator().manual_seed(0)), [0.1, 0.2, 0.3]
    options = {"dt": 0.1, "n_steps": 3, "damping": damping, "kT": kT, "integrator": integrator, "noise": noise}
    whole = simulate(ring(40), spins, **options).spins
    monkeypatch.setattr(drive, "BLOCK", 7)
    blocks = simulate(ring(40), spins, **options).spins
    torch.testing.assert_close(blocks, whole, atol=1e-13, rtol=0)


@pytest.fixture
def untranslated(monkeypatch):
    """The code that would be compiled, run as it is."""
    caches = drive._compiled, core_noise._compiled_normals
    for cache in caches:
        cache.cache_clear()
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.parametrize("noise", ["precession", "both"])
@pytest.mark.parametrize("integrator", [*STEPS, "adaptive"])
def test_what_is_compiled_equals_the_plain_steps(integrator, noise, untranslated):
    spins = random_spins(40, replicas=(3,), seed=0)
    damping, kT = torch.rand(3, 40, generator=torch.Generator().manual_seed(0)), [0.1, 0.2, 0.3]
    if integrator == "adaptive":
        damping, kT = 0.3, 0.0
    options = {"dt": 0.1, "n_steps": 3, "damping": damping, "kT": kT, "integrator": integrator, "noise": noise}
    plain, compiled = (simulate(ring(40), spins, compiled=flag, **options).spins for flag in (False, True))
    assert (plain - spins).abs().max() > 0.1
    torch.testing.assert_close(compiled, plain, atol=1e-12, rtol=0)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("integrator", [*STEPS, "adaptive"])
def test_compiled_steps_equal_the_plain_ones(integrator):
    source = Bilinear(3.0 * ring(40).exchange, (0.5, 0.0, 1.0))
    spins = random_spins(40, replicas=(3,), seed=0)
    kT = 0.0 if integrator == "adaptive" else 0.3
    options = {"dt": 0.05, "n_steps": 3, "damping": 0.2, "kT": kT, "integrator": integrator}
    plain, compiled = (simulate(source, spins, compiled=flag, **options).spins for flag in (False, True))
    assert (plain - spins).abs().max() > 0.1
    torch.testing.assert_close(plain, compiled, atol=1e-12, rtol=0)


@pytest.mark.slow
@needs_compiler
def test_compiled_noise_is_the_plain_one_to_rounding():
    for seed, step, dtype in ((5, 7, torch.float32), ((1 << 63) + 11, (3 << 32) + 2, torch.float64)):
        plain, compiled = (thermal_noise(seed, [0, 3], step, 1000, dtype, compiled=flag) for flag in (False, True))
        torch.testing.assert_close(compiled, plain, atol=40 * torch.finfo(dtype).eps, rtol=0)


@pytest.mark.slow
@needs_compiler
def test_compiled_runs_resume_bit_for_bit(tmp_path):
    options = {"dt": 0.05, "damping": 0.2, "kT": 0.3, "compiled": True}
    spins = random_spins(40, replicas=(3,), seed=0)
    simulate(ring(40), spins, n_steps=2, trajectory=tmp_path / "a.h5", **options)
    continued = resume(tmp_path / "a.h5", ring(40), n_steps=2)
    assert torch.equal(continued.spins, simulate(ring(40), spins, n_steps=4, **options).spins)
