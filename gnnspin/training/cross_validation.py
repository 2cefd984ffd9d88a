"""k-fold cross-validation: every label is predicted once by a model that has not seen it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

from gnnspin.core.config import Config
from gnnspin.core.modes import independent_of_modes
from gnnspin.datasets.labels import LabelSet
from gnnspin.datasets.splits import holdout, k_folds
from gnnspin.force_fields.files import load, save
from gnnspin.models.base import SpinModel
from gnnspin.runs import MAY_BE_UNRECORDED, run_folder
from gnnspin.training.config import TrainingConfig
from gnnspin.training.evaluate import Evaluation, evaluate
from gnnspin.training.fit import fit
from gnnspin.training.job import MODEL_FILE, ModelConfig


@dataclass(frozen=True)
class CrossValidation:
    """Result of `cross_validate`: the errors of every fold, with their mean and spread.

    Attributes
    ----------
    folds : tuple of Evaluation
        Errors of each fold's model on the labels held out from it, in order.
    paths : tuple of Path
        The folds' model files.
    mean, spread : dict
        Mean and standard deviation over the folds of each figure of `Evaluation.numbers`; the spread of one fold is 0.
    interrupted : bool
        True when the user stopped it; ``cross_validate(..., resume=True)`` continues.
    """

    folds: tuple[Evaluation, ...]
    paths: tuple[Path, ...]
    mean: dict[str, float]
    spread: dict[str, float]
    interrupted: bool


@independent_of_modes
def cross_validate(
    model: ModelConfig | Callable[[], SpinModel],
    labels: LabelSet,
    config: TrainingConfig | None = None,
    *,
    folds: int = 5,
    blocks: int | None = None,
    validation: float = 0.1,
    seed: int = 0,
    directory: str | Path,
    resume: bool = False,
    progress: bool = True,
) -> CrossValidation:
    """Train one model per fold and evaluate it on the labels held out from it.

    The held-out fold steers nothing: early stopping and the choice of the weights use a share of the rest.

    Parameters
    ----------
    model : ModelConfig or callable
        The untrained model; a callable returns a new one at each call.
    labels : LabelSet
    config : TrainingConfig, optional
    folds : int
        Number of folds.
    blocks : int, optional
        Blocks into which each trajectory is cut, see `gnnspin.datasets.k_folds`; trajectories are never divided at
        random.
    validation : float
        Share of a fold's training labels that chooses the weights.
    seed : int
        Of both splits.
    directory : path
        Gets a folder ``fold_0``, ``fold_1``, ... per fold, with log, checkpoints and ``model.safetensors``; must be
        empty or new unless `resume`.
    resume : bool
        Continue; a finished fold is read, not trained again.
    progress : bool

    Raises
    ------
    StoreError
        If `directory` holds something and `resume` is false, or another cross-validation.
    InvalidInput
        If the labels cannot fill the folds, and as `fit`.
    """
    config = config or TrainingConfig()
    directory = Path(directory)
    parts = k_folds(labels, folds, blocks=blocks, seed=seed)

    def build() -> SpinModel:
        return model.build(labels.systems[0], labels) if isinstance(model, ModelConfig) else model()

    split = {"folds": folds, "blocks": blocks, "validation": validation, "seed": seed}
    first_seed = model.seed if isinstance(model, ModelConfig) else None
    settings = _settings(build(), config, labels, split, first_seed)
    with run_folder(directory / "cross_validation.json", settings, resume=resume, kind="cross-validation"):
        evaluations: list[Evaluation] = []
        paths: list[Path] = []
        for k, (rest, held_out) in enumerate(parts):
            path = directory / f"fold_{k}" / MODEL_FILE
            if not path.exists():
                train, valid = holdout(rest, validation, seed=seed)
                result = fit(build(), train, valid, config, directory=path.parent, resume=resume, progress=progress)
                if result.interrupted:
                    return _summary(evaluations, paths, interrupted=True)
                save(result.force_field, path)
            evaluations.append(evaluate(load(path, held_out.systems[0]), held_out))
            paths.append(path)
        return _summary(evaluations, paths, interrupted=False)


def _summary(evaluations: list[Evaluation], paths: list[Path], *, interrupted: bool) -> CrossValidation:
    rows = [evaluation.numbers() for evaluation in evaluations]
    columns = {
        name: [row[name] for row in rows]
        for name in (rows[0] if rows else ())
        if name != "field_trained" and all(r[name] is not None for r in rows)
    }
    return CrossValidation(
        folds=tuple(evaluations),
        paths=tuple(paths),
        mean={name: fmean(values) for name, values in columns.items()},
        spread={name: stdev(values) if len(values) > 1 else 0.0 for name, values in columns.items()},
        interrupted=interrupted,
    )


class _Settings(Config):
    """Settings of a cross-validation, for which its directory is claimed."""

    model: str
    hyperparameters: dict[str, Any]
    graph: dict[str, Any]
    training: TrainingConfig
    labels: dict[str, Any]
    split: dict[str, Any]
    fingerprint: Annotated[str | None, MAY_BE_UNRECORDED] = None
    model_seed: Annotated[int | None, MAY_BE_UNRECORDED] = None


def _settings(
    model: SpinModel, config: TrainingConfig, labels: LabelSet, split: dict[str, Any], model_seed: int | None
) -> _Settings:
    return _Settings(
        model=model.name,
        hyperparameters=model.hyperparameters.model_dump(mode="json", exclude_defaults=True),
        graph=model.spec.to_dict(),
        training=config,
        labels={"count": len(labels), "systems": [system.fingerprint for system in labels.systems]},
        split=split,
        fingerprint=labels.fingerprint,
        model_seed=model_seed,
    )
