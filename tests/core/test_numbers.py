"""Numbers in configurations are what the user wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import pydantic
import pytest
import torch
import yaml
from pydantic import Field

import gnnspin as gs
from gnnspin.core import random_rotation, random_spins
from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import whole_number
from gnnspin.core.yaml_loader import Loader
from gnnspin.electrons import KernelPolynomial
from gnnspin.sampling import ParallelTempering, sample


class Example(Config):
    n_steps: int = Field(default=1, gt=0)
    seed: int | None = None
    shape: tuple[int, ...] = ()
    pbc: bool | tuple[bool, ...] = True
    size: Literal["auto"] | int = "auto"
    kT: float = 0.0


@pytest.mark.parametrize("value", [100_000, 1e5, "1e5", "100000", np.int64(100_000), np.float32(1e5)])
def test_whole_numbers_in_any_notation(value: object) -> None:
    assert whole_number(value, "n_steps") == 100_000
    assert Example.model_validate({"n_steps": value}).n_steps == 100_000


@pytest.mark.parametrize("value", [1.9, True, "1.9", "yes", None, float("inf"), float("nan"), [1, 2]])
def test_what_is_no_whole_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidInput, match="n_steps="):
        whole_number(value, "n_steps")
    with pytest.raises(pydantic.ValidationError, match="n_steps"):
        Example.model_validate({"n_steps": value})


def test_kinds_of_fields_keep_their_meaning() -> None:
    made = Example.model_validate({"seed": 1e2, "shape": [1e1, 3], "pbc": [True, False], "size": 4.0, "kT": 1})
    assert (made.seed, made.shape, made.pbc, made.size) == (100, (10, 3), (True, False), 4)
    assert Example.model_validate({"size": "auto", "pbc": False}).pbc is False
    for wrong in ({"seed": True}, {"shape": [True]}, {"kT": True}, {"shape": [1.5]}):
        with pytest.raises(pydantic.ValidationError):
            Example.model_validate(wrong)


def test_yaml_has_decimal_numbers_alone() -> None:
    assert yaml.load("{a: 1e5, b: -1.5E-3, c: 12, d: 1_000, e: 0}", Loader) == {
        "a": 1e5, "b": -1.5e-3, "c": 12, "d": 1000, "e": 0
    }  # fmt: skip
    for text in ("a: 010", "a: 1:30", "a: 0x10"):
        with pytest.raises(yaml.YAMLError, match="no decimal number"):
            yaml.load(text, Loader)
    with pytest.raises(yaml.YAMLError, match="given twice"):
        yaml.load("{a: 1, a: 2}", Loader)


SYSTEM = gs.systems.square(4, 4)
HEISENBERG = gs.classical.Heisenberg(SYSTEM, J=1.0)
HAMILTONIAN = gs.electrons.SDHamiltonian(SYSTEM, J=1.0)
POLYNOMIAL = {"kT": 0.3, "mu": 0.0, "n_moments": 16, "probes": "random"}


def bath(**given: Any) -> gs.sampling.HeatBath:
    return gs.sampling.HeatBath(HEISENBERG, kT=1.0, **given)


#: Results that depend on a seed or a count, each of one such number of that name.
SEEDED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "spins": ("seed", lambda n: random_spins(16, seed=n)),
    "rotation": ("seed", lambda n: random_rotation(n)),
    "order": ("seed", lambda n: gs.observables.perturbed(random_spins(16, seed=0), 0.1, seed=n)),
    "packing": ("seed", lambda n: gs.systems.amorphous(8, 4.0, 0.5, seed=n).positions),
    "sampler": ("seed", lambda n: sample(bath(seed=n), random_spins(16, seed=0), n_sweeps=2).spins),
    "tempering": ("seed", lambda n: ParallelTempering(bath(), [1.0, 2.0]).random_start(seed=n).spins),
    "probes": ("seed", lambda n: KernelPolynomial(HAMILTONIAN, **POLYNOMIAL, n_colors=2, seed=n).field(
        random_spins(16, seed=0))),
    "dilution": ("dilution_seed", lambda n: gs.electrons.SDHamiltonian(
        SYSTEM, J=1.0, spin_fraction=0.5, dilution_seed=n).orbital_coupling),
    "disorder": ("seed", lambda n: gs.electrons.OnsiteDisorder(1.0, n).energies(SYSTEM)),
    "simulation": ("seed", lambda n: gs.dynamics.simulate(
        HEISENBERG, random_spins(16, seed=0), dt=0.1, n_steps=2, damping=0.1, kT=0.1, seed=n).spins),
}  # fmt: skip

COUNTED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sweeps": ("n_sweeps", lambda n: sample(bath(), random_spins(16, seed=0), n_sweeps=n).spins),
    "observations": ("observe_every", lambda n: sample(
        bath(), random_spins(16, seed=0), n_sweeps=4, observe_every=n).steps),
    "swaps": ("swap_every", lambda n: ParallelTempering(bath(), [1.0, 2.0], swap_every=n).swap_every),
    "overrelaxation": ("overrelaxation", lambda n: bath(overrelaxation=n).overrelaxation),
    "replicas": ("replicas", lambda n: sample(bath(replicas=[n]), random_spins(16, seed=0), n_sweeps=1).spins),
    "iterations": ("max_iterations", lambda n: gs.sampling.minimize(
        HEISENBERG, random_spins(16, seed=0), max_iterations=n).spins),
    "sites": ("n_sites", lambda n: gs.systems.amorphous(n, 4.0, 0.5, seed=0).positions),
    "colors": ("n_colors", lambda n: KernelPolynomial(HAMILTONIAN, **POLYNOMIAL, n_colors=n).n_vectors),
}  # fmt: skip


@pytest.mark.parametrize("name", [*SEEDED, *COUNTED])
def test_seeds_and_counts_are_whole_numbers(name: str) -> None:
    """Exact integers of any type are the same number; nothing is rounded, and true is no number."""
    argument, made = (SEEDED | COUNTED)[name]
    expected = np.asarray(made(3))
    for same in (np.int64(3), 3.0, np.float64(3), torch.tensor(3)):
        np.testing.assert_array_equal(np.asarray(made(same)), expected)
    for wrong in (1.9, True, "one", float("nan"), None):
        if wrong is not None or name not in ("colors",):
            with pytest.raises(InvalidInput, match=f"{argument}={wrong!r}"):
                made(wrong)
    for wrong in (-1, 2**64) if name in SEEDED else (-1,):
        if name != "replicas":
            with pytest.raises(InvalidInput, match=f"{argument}={wrong}"):
                made(wrong)


def test_large_seeds_are_exact() -> None:
    assert torch.equal(random_spins(4, seed=100000), random_spins(4, seed=1e5))  # type: ignore[arg-type]
    assert not torch.equal(random_spins(4, seed=2**63), random_spins(4, seed=2**63 + 1))
