"""Trainings of a study: its model and the rivals, each with every seed, and where they leave their files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gnnspin.datasets import LabelSet
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
    """

    name: str
    of: str
    folder: Path
    model: ModelConfig
    training: TrainingConfig


def trainings(study: Study) -> Iterator[Training]:
    """All trainings of a study in their order: the first of every model, then those with further seeds."""
    if study.model is None:
        return
    first, seeds = [Training("training", OWN, Path("training"), study.model, study.training)], {OWN: study.seeds}
    for name, rival in study.rivals.items():
        training = rival.training or study.training
        first.append(Training(f"rival {name}", name, Path("rivals") / name, rival.model, training))
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
            )


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
