"""Texts for ``gnnspin info``: the installation, files, models, and the keys of configurations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gnnspin.core.described import Described, Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.version import __version__

#: Where each configuration is defined; imported when its topic is asked for, as everything heavy is here.
_CONFIGURATIONS = {
    "generate": "gnnspin.labels:GenerateConfig",
    "train": "gnnspin.training.job:TrainJob",
    "simulate": "gnnspin.dynamics.job:SimulationConfig",
    "locality": "gnnspin.analysis:LocalityConfig",
    "compare": "gnnspin.analysis.comparison:ComparisonConfig",
}

#: Commands without a configuration of their own, and what to know of them.
_COMMANDS = {
    "analyze": """analyses, each a command `gnnspin analyze NAME` with a configuration
  locality: torque error that no model of a given cutoff can avoid; `gnnspin info locality` documents its keys""",
    "evaluate": """`gnnspin evaluate MODEL LABELS [--figure FILE]` takes no configuration
  MODEL: a file written by train, or pretrained:NAME
  LABELS: a label store, or published:NAME
  prints errors of torque, field and energy in units of the hopping, in all, by sampler and by time along trajectories;
  a field error is not told of a model trained with a torque loss, nor R2 where the labels do not vary""",
}

#: Classes whose registries hold the kinds that are topics; each is where a package that defines some is imported.
_FAMILIES = (
    "gnnspin.force_fields:ForceField",
    "gnnspin.classical:ClassicalTerm",
    "gnnspin.core:FieldSource",
    "gnnspin.electrons:SDHamiltonian",
    "gnnspin.electrons:HoppingRule",
    "gnnspin.electrons:Lead",
    "gnnspin.dynamics:Protocol",
)

_PRETRAINED = "pretrained:"


def describe(topic: str | None) -> str:
    """Text about a topic: None, a file, a model, ``pretrained:NAME``, a kind, or the name of a configuration.

    Kinds are those of sources, Hamiltonians, hopping rules, leads and temperature protocols.

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
        return f"keys of a configuration for `gnnspin {topic}`\n" + "\n".join(
            _keys(resolve_name(_CONFIGURATIONS[topic]))
        )
    if topic in _COMMANDS:
        return _COMMANDS[topic]
    if topic.startswith(_PRETRAINED):
        return str(resolve_name("gnnspin.force_fields.pretrained:model_card")(topic))
    models = resolve_name("gnnspin.models")
    if topic in models.available():
        return f"hyperparameters of {topic}\n" + "\n".join(_keys(models.hyperparameters(topic)))
    if Path(topic).is_file():
        return _file(Path(topic))
    families = {family.registry: None for family in map(resolve_name, _FAMILIES)}
    found = [_kind(registry[topic]) for registry in families if topic in registry]
    if found:
        return "\n".join(found)
    choices = ", ".join([*_CONFIGURATIONS, *_COMMANDS, *models.available()])
    kinds = ", ".join(sorted({kind for registry in families for kind in registry}))
    raise InvalidInput(f"{topic!r} is neither a file nor one of {choices}; nor a kind: {kinds}")


def _kind(described: type[Described]) -> str:
    """Parameters of a class that configurations name by its kind."""
    summary = (described.__doc__ or "").strip().splitlines()[0]
    head = f"parameters of the {described.registry.kind} {described.kind}: {summary}"
    return "\n".join([head, *_keys(described.parameters())])


def _installation() -> str:
    torch = resolve_name("torch")
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    pretrained = resolve_name("gnnspin.force_fields.pretrained:pretrained")()
    published = resolve_name("gnnspin.datasets.published:available")()
    rows = {
        "gnnspin": __version__,
        "torch": f"{torch.__version__}, {device}, {torch.get_num_threads()} threads",
        "models": ", ".join(resolve_name("gnnspin.models:available")()),
        "pretrained": ", ".join(f"{_PRETRAINED}{name}" for name in pretrained),
        "studies": ", ".join(resolve_name("gnnspin.studies:STUDIES")),
        "published sets": ", ".join(f"published:{name}" for name in published),
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
        return json.dumps(resolve_name("gnnspin.force_fields.files:read_header")(path), indent=2)
    if not resolve_name("h5py").is_hdf5(path):
        raise StoreError(f"{path} is neither a model (.safetensors) nor an HDF5 file of gnnspin")
    try:
        store = resolve_name("gnnspin.datasets:LabelStore")(path)
    except StoreError:
        with resolve_name("gnnspin.trajectories:Trajectory")(path) as run:
            last = f"{len(run)} frames, last time {run.times[-1]:g}" if len(run) else "no frames"
            return f"trajectory of {run.system}: {last}; observables: {', '.join(run.observables) or 'none'}"
    lines = [str(store), *(f"  {system}" for system in store.systems)]
    found = resolve_name("gnnspin.datasets.summary:summary")(store)
    lines += [f"{name:20} {text}" for name, text in found.items()]
    return "\n".join([*lines, json.dumps(store.metadata, indent=2)] if store.metadata else lines)
