"""Trainings of a study: its model by rounds and the rivals, each with every seed, and where they leave their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gnnspin.datasets import LabelSet
from gnnspin.labels import GenerateConfig
from gnnspin.studies.study import Study
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig

#: Name of the study's own model among its rivals.
OWN = "the study's"


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes
    ----------
    name : str
        Of the stage.
    of : str
        The model: `OWN`, or the name of a rival.
    folder : Path
        Relative to that of the study.
    model : ModelConfig
    training : TrainingConfig
    rounds : int
        Rounds whose labels it is trained on beside the first ones.
    start_from : Path or None
        Folder of the training that it goes on from; None: a new model.
    """

    name: str
    of: str
    folder: Path
    model: ModelConfig
    training: TrainingConfig
    rounds: int
    start_from: Path | None = None


def trainings_by_round(study: Study) -> list[Training]:
    """Trainings of the study's own model: the first, and that of every round."""
    if study.model is None:
        return []
    found = [Training("training", OWN, Path("training"), study.model, study.training, 0)]
    for number, each in enumerate(study.rounds, 1):
        training, folder = each.training or study.training, Path("rounds") / str(number) / "training"
        name = f"round {number} training"
        found.append(Training(name, OWN, folder, study.model, training, number, start_from=found[-1].folder))
    return found


def compared_trainings(study: Study) -> Iterator[Training]:
    """Trainings whose models are compared: the last of the study's own and of every rival, then further seeds."""
    if study.model is None:
        return
    first, seeds = trainings_by_round(study)[-1:], {OWN: study.seeds}
    for name, rival in study.rivals.items():
        training, folder = rival.training or study.training, Path("rivals") / name
        first.append(Training(f"rival {name}", name, folder, rival.model, training, len(study.rounds)))
        seeds[name] = rival.seeds
    yield from first
    for each in first:
        for seed in seeds[each.of]:
            yield Training(
                f"{each.name}, seed {seed}",
                each.of,
                Path("seeds") / str(seed) / each.folder,
                each.model.model_copy(update={"seed": seed}),
                each.training.model_copy(update={"seed": seed}),
                each.rounds,
            )


def label_sets(study: Study) -> dict[str, GenerateConfig]:
    """Labels to train on: the first ones and those of every round, by their files in the study's folder."""
    sets = {} if study.labels is None else {"labels.h5": study.labels}
    return sets | {f"rounds/{number}/labels.h5": each.labels for number, each in enumerate(study.rounds, 1)}


def driven_by(labels: GenerateConfig, model: Path) -> GenerateConfig:
    """The same labels, their relaxations run under a force field where they have none of their own."""
    samplers = tuple(
        each.model_copy(update={"force_field": model})
        if each.kind == "relaxation" and each.force_field is None
        else each
        for each in labels.samplers
    )
    return labels.model_copy(update={"samplers": samplers})


def held_out_groups(labels: LabelSet) -> dict[str, list[int]]:
    """Numbers of the labels of each kind of snapshot, and of each system where there are several, by name."""
    groups: dict[str, list[int]] = {}
    for k, provenance in enumerate(labels.provenances):
        groups.setdefault(str(provenance["sampler"]["kind"]), []).append(k)
    if len(labels.systems) > 1:
        for system, members in labels.by_system().items():
            shape = "x".join(str(n) for n in system.lattice_shape or () if n > 1) or f"{system.n_sites}"
            groups.setdefault(f"{shape} sites", []).extend(members.tolist())
    return groups
