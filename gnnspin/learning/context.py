"""The common ground of all stages of a learning: configuration, measured choices, its folder and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnspin.core.described import Recipe
from gnnspin.datasets import LabelSet, LabelStore, open_labels
from gnnspin.datasets.joined import JoinedLabels
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.force_fields.files import load
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.members import member_or_itself
from gnnspin.learning.config import LearnConfig
from gnnspin.learning.exact import exact_source
from gnnspin.learning.places import Drive, Place, States, solved
from gnnspin.learning.setup import Setup
from gnnspin.runs import read_json, write_json
from gnnspin.systems import SpinSystem

#: Name of the model in the folder of a round, and in that of the learning.
MODEL = "model.safetensors"

#: A state of a run: numbers of the drive (of its round), of the part of its system, of the time, and of the replica.
Where = tuple[int, int, int, int]


@dataclass(frozen=True)
class Round:
    """Number and files of one round."""

    folder: Path
    number: int

    @property
    def plan(self) -> Path:
        """File of its plan."""
        return self.folder / "plan.json"

    @property
    def result(self) -> Path:
        """File of its result."""
        return self.folder / "result.json"

    @property
    def model(self) -> Path:
        """Its trained model."""
        return self.folder / MODEL

    @property
    def trained(self) -> Path:
        """File of the time that its training took for a label and epoch."""
        return self.folder / "trained.json"

    @property
    def labels(self) -> Path:
        """Its labels to train on."""
        return self.folder / "labels.h5"

    @property
    def tests(self) -> Path:
        """Its labels that are never trained on."""
        return self.folder / "tests.h5"

    def visits(self, drive: int) -> Path:
        """States that an intended run visited under the model of the round, by the number of the drive."""
        return self.folder / f"visits_{drive}.npz"

    def remember(self, states: Sequence[Where]) -> None:
        """Note which states test the round."""
        write_json(self.folder / "tested_states.json", [list(each) for each in states])

    def tested_states(self) -> list[Where] | None:
        """States that test the round, in the order of its tests; None before they are drawn."""
        path = self.folder / "tested_states.json"
        return [(j, p, t, r) for j, p, t, r in read_json(path)] if path.exists() else None


@dataclass(frozen=True)
class Context:
    """Configuration, choices and folder, which all stages share."""

    config: LearnConfig
    setup: Setup
    folder: Path
    workers: int
    progress: bool

    @property
    def solver(self) -> Recipe:
        """The exact solver of all labels."""
        return self.config.recipe(self.setup.solvers[0].settings)

    def round(self, number: int) -> Round:
        """Files of a round."""
        return Round(self.folder / f"round_{number:02d}", number)

    def places(self, number: int) -> list[Place]:
        """Where the intended runs are driven in a round, one for each; packings are new in every round."""
        return [Place.of(each, number) for each in self.setup.label_systems]

    def drives(self, number: int) -> list[Drive]:
        """The intended runs as they are driven in a round: each at its place, at every point of the family."""
        points = self.config.points(number)
        return [Drive(run, point, place) for run, place in enumerate(self.places(number)) for point in points]

    def exact(self, system: SpinSystem, point: Mapping[str, float]) -> EquilibriumSource:
        """The exact solver on a system, at a point of the family."""
        member = self.config.at(point)
        return exact_source(member, self.setup.solvers[0].settings, system)

    def field(self, path: Path, system: SpinSystem, point: Mapping[str, float]) -> ForceField:
        """A learned model on a system; of a family the member at a point."""
        found: ForceField = member_or_itself(load(path, system), point)
        return found

    def label_seconds(self) -> float:
        """Expected processor time of a label: mean over the parts of the first round's places."""
        parts = [part.n_sites for place in self.places(0) for part in place.system.parts]
        return self.setup.solvers[0].seconds * sum(parts) / len(parts) / parts[0]

    def solve(self, states: Sequence[States], folder: Path, name: str) -> LabelStore:
        """Exact labels of states, stored as ``folder / name.h5``."""
        return solved(self.config, self.solver, states, folder, name, self.workers, self.progress)

    def labels(self, rounds: int) -> LabelSet:
        """Labels to train on of so many first rounds."""
        return open_labels([str(self.round(k).labels) for k in range(rounds)])

    def tests(self, rounds: int) -> JoinedLabels:
        """Labels that are never trained on, of so many first rounds."""
        return JoinedLabels([LabelStore(self.round(k).tests) for k in range(rounds)])


def evenly(count: int, most: int) -> list[int]:
    """At most so many positions of `count`, spread evenly."""
    wanted = min(count, most)
    return [k * count // wanted for k in range(wanted)]
