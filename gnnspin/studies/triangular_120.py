"""120-degree order: the triangular s-d model at half filling and strong coupling (J = 6)."""

from __future__ import annotations

from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.labels import GenerateConfig, PerturbedOrderSampler, RandomSampler, RelaxationSampler
from gnnspin.studies.study import QuenchConfig, Study
from gnnspin.systems.config import LatticeConfig
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig


def _labels(
    lengths: tuple[int, ...], *, random: int, ordered: int, trajectories: int, n_steps: int, seed: int
) -> GenerateConfig:
    return GenerateConfig(
        systems=tuple(LatticeConfig(kind="triangular", shape=(length, length)) for length in lengths),
        hamiltonian=SDHamiltonian.recipe(J=6.0),
        solver=ExactDiagonalization.recipe(kT=0.002, filling=0.5, without=("hamiltonian",)),
        samplers=(
            RandomSampler(count=random),
            PerturbedOrderSampler(orders=("120-degree",), amplitude=(0.02, 0.6), count=ordered),
            RelaxationSampler(count=trajectories, n_steps=n_steps, save_every=10, dt=1.0, damping=0.3, kT=0.002),
        ),
        seed=seed,
    )


def _quench(length: int, n_steps: int) -> QuenchConfig:
    return QuenchConfig(
        system=LatticeConfig(kind="triangular", shape=(length, length)),
        dt=1.0,
        n_steps=n_steps,
        damping=0.3,
        kT=0.002,
        observe_every=10,
        save_every=n_steps // 20,
        seed=1,
    )


_TITLE = "120-degree order of the triangular s-d model at half filling, J = 6"
_QUESTION = (
    "At half filling and strong coupling the electrons are gapped and mediate a nearest-neighbour antiferromagnetic "
    "exchange. Quenched from random spins, the triangular lattice should order in three sublattices at 120 degrees: "
    "neighbour correlation towards -1/2, Bragg peaks at K, domains of vector chirality that grow."
)

SMALL = Study(
    title=_TITLE,
    question=_QUESTION,
    labels=_labels((12, 15, 18), random=24, ordered=12, trajectories=1, n_steps=120, seed=1),
    held_out=_labels((12, 15, 18), random=6, ordered=4, trajectories=1, n_steps=60, seed=2),
    model=ModelConfig(
        cutoff=1.8, hyperparameters={"layers": 2, "channels": 4, "scalars": 4, "hidden": 32, "max_degree": 3}
    ),
    training=TrainingConfig(),
    quench=_quench(96, 400),
    peak="K",
)

PAPER = Study(
    title=_TITLE,
    question=_QUESTION,
    labels=_labels((12, 15, 18, 24), random=100, ordered=40, trajectories=8, n_steps=400, seed=1),
    held_out=_labels((18, 24), random=20, ordered=10, trajectories=2, n_steps=400, seed=2),
    model=ModelConfig(cutoff=2.1, hyperparameters={"layers": 2, "channels": 8, "hidden": 64}),
    training=TrainingConfig(max_epochs=60),
    quench=_quench(192, 4000),
    peak="K",
)
