"""Texts for ``gnnspin info``: the installation, files, models, and the keys of configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import h5py
import torch
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gnnspin import __version__
from gnnspin.analysis import LocalityConfig
from gnnspin.analysis.comparison import ComparisonConfig
from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.datasets import LabelStore, published
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.force_fields import model_card, pretrained
from gnnspin.force_fields.files import read_header
from gnnspin.force_fields.pretrained import PREFIX
from gnnspin.labels import GenerateConfig
from gnnspin.models import available, hyperparameters
from gnnspin.studies import STUDIES
from gnnspin.training.job import TrainJob
from gnnspin.trajectories import Trajectory

_CONFIGURATIONS: dict[str, type[BaseModel]] = {
    "generate": GenerateConfig,
    "train": TrainJob,
    "simulate": SimulationConfig,
    "locality": LocalityConfig,
    "compare": ComparisonConfig,
}


def describe(topic: str | None) -> str:
    """Text about a topic: None, a file, a model, ``pretrained:NAME``, or the name of a configuration.

    Raises
    ------
    InvalidInput
        If the topic is none of these.
    StoreError
        If the file is damaged or foreign.
    """
    if topic is None:
        return _installation()
    if topic in _CONFIGURATIONS:
        return f"keys of a configuration for `gnnspin {topic}`\n" + "\n".join(_keys(_CONFIGURATIONS[topic]))
    if topic in available():
        return f"hyperparameters of {topic}\n" + "\n".join(_keys(hyperparameters(topic)))
    if topic.startswith(PREFIX):
        return model_card(topic)
    if Path(topic).is_file():
        return _file(Path(topic))
    choices = ", ".join([*_CONFIGURATIONS, *available()])
    raise InvalidInput(f"{topic!r} is neither a file nor one of {choices}")


def _installation() -> str:
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    rows = {
        "gnnspin": __version__,
        "torch": f"{torch.__version__}, {device}, {torch.get_num_threads()} threads",
        "models": ", ".join(available()),
        "pretrained": ", ".join(f"{PREFIX}{name}" for name in pretrained()),
        "studies": ", ".join(STUDIES),
        "published sets": ", ".join(f"published:{name}" for name in published.available()),
        "configurations": ", ".join(f"gnnspin info {name}" for name in _CONFIGURATIONS),
    }
    return "\n".join(f"{name:15} {text}" for name, text in rows.items())


def _keys(config: type[BaseModel], indent: int = 2, printed: set[type[BaseModel]] | None = None) -> Iterator[str]:
    """One line per key, nested configurations indented below the first key that takes them."""
    printed = set() if printed is None else printed
    for name, field in config.model_fields.items():
        default = "required" if field.is_required() else f"default {_plain(field)}"
        choices = [value for value in _leaves(field.annotation) if isinstance(value, str | int)]
        one_of = f" one of {', '.join(map(str, choices))};" if choices else ""
        leaves = [each for part in (field.annotation, *field.metadata) for each in _leaves(part)]
        models = [leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel)]
        nested = [leaf for leaf in models if leaf is not Recipe]
        shown = f"{default};" if not nested or field.is_required() else ""
        yield f"{' ' * indent}{name}: {shown}{one_of} {field.description or ''}".rstrip("; ").rstrip()
        fresh = [leaf for leaf in nested if leaf not in printed]
        printed.update(fresh)
        for leaf in fresh:
            if len(nested) > 1:
                yield f"{' ' * (indent + 2)}({(leaf.__doc__ or '').splitlines()[0]})"
            yield from _keys(leaf, indent + 4, printed)


def _plain(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return value.model_dump() if isinstance(value, BaseModel) else value


def _leaves(annotation: Any) -> list[Any]:
    """Types and literal values inside unions, tuples and annotations."""
    if isinstance(annotation, RecipeOf):
        return list(annotation.classes())
    arguments = get_args(annotation) if get_origin(annotation) is not Annotated else annotation.__metadata__
    if not arguments:
        return [annotation]
    return [leaf for argument in arguments for leaf in _leaves(argument)]


def _file(path: Path) -> str:
    if path.suffix == ".safetensors":
        return json.dumps(read_header(path), indent=2)
    if not h5py.is_hdf5(path):
        raise StoreError(f"{path} is neither a model (.safetensors) nor an HDF5 file of gnnspin")
    try:
        store = LabelStore(path)
    except StoreError:
        with Trajectory(path) as run:
            last = f"{len(run)} frames, last time {run.times[-1]:g}" if len(run) else "no frames"
            return f"trajectory of {run.system}: {last}; observables: {', '.join(run.observables) or 'none'}"
    lines = [str(store), *(f"  {system}" for system in store.systems)]
    return "\n".join([*lines, json.dumps(store.metadata, indent=2)])
