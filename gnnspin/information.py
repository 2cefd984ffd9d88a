"""Texts for ``gnnspin info``: the installation, files, models, and the keys of configurations."""

from __future__ import annotations

import json
from difflib import get_close_matches
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.version import __version__
from gnnspin.studies.table import SIZES, STUDIES

#: Where each configuration is defined; imported when its topic is asked for, as everything heavy is here.
_CONFIGURATIONS = {
    "generate": "gnnspin.labels:GenerateConfig",
    "import": "gnnspin.datasets.import_config:ImportConfig",
    "train": "gnnspin.training.job:TrainJob",
    "learn": "gnnspin.learning:LearnConfig",
    "simulate": "gnnspin.dynamics.job:SimulationConfig",
    "locality": "gnnspin.analysis:LocalityConfig",
    "trajectory": "gnnspin.analysis:TrajectoryAnalysisConfig",
    "compare": "gnnspin.analysis.comparison:ComparisonConfig",
}

#: Configurations of commands `gnnspin analyze NAME`.
_ANALYSES = ("locality", "trajectory")

#: Commands without a configuration of their own, and what to know of them.
_COMMANDS = {
    "analyze": """analyses, each a command `gnnspin analyze NAME` with a configuration
  locality: torque error that no model of a given cutoff can avoid; `gnnspin info locality` documents its keys
  trajectory: observables over a stored run; `gnnspin info trajectory` documents its keys
  movie: a stored run as a GIF or MP4, without a configuration; `gnnspin analyze movie --help`""",
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
    "gnnspin.classical:Waveform",
    "gnnspin.observables:Observable",
)

_PRETRAINED = "pretrained:"

#: Command and topic that lists the studies.
_STUDIES = "reproduce"


def describe(topic: str | None) -> str:
    """Text about a topic: None, a file, a model, ``pretrained:NAME``, a kind, a study, or the name of a configuration.

    Kinds are those of sources, Hamiltonians, hopping rules, leads, temperature protocols, waveforms, observables,
    systems and samplers.

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
        command = f"analyze {topic}" if topic in _ANALYSES else topic
        return f"keys of a configuration for `gnnspin {command}`\n" + _keys(resolve_name(_CONFIGURATIONS[topic]))
    if topic in _COMMANDS:
        return _COMMANDS[topic]
    if topic == _STUDIES:
        return _studies()
    if topic in STUDIES:
        return f"study {topic}: {STUDIES[topic]}\n  run: gnnspin reproduce {topic} -o FOLDER"
    if topic.startswith(_PRETRAINED):
        return str(resolve_name("gnnspin.force_fields.pretrained:model_card")(topic))
    models = resolve_name("gnnspin.models")
    if topic in models.available():
        return f"hyperparameters of {topic}\n" + _keys(models.hyperparameters(topic))
    if Path(topic).is_file():
        return _file(Path(topic))
    texts = resolve_name("gnnspin.core.key_texts")
    found = [texts.kind_text(registry[topic]) for registry in _registries() if topic in registry]
    nested = texts.kinds_below(resolve_name(_CONFIGURATIONS["generate"]))
    found += [texts.configuration_text(topic, nested[topic])] if topic in nested else []
    if found:
        return "\n".join(found)
    topics = [*_CONFIGURATIONS, *_COMMANDS, _STUDIES, *STUDIES, *models.available(), *nested]
    topics += [kind for registry in _registries() for kind in registry]
    near = " or ".join(map(repr, dict.fromkeys(get_close_matches(topic, topics))))
    hint = f"did you mean {near}? " if near else ""
    raise InvalidInput(
        f"{topic!r} is neither a file nor a topic; {hint}`gnnspin info` lists models, kinds and the rest"
    )


def _registries() -> list[Any]:
    """Registries of everything that has a kind."""
    return list({family.registry: None for family in map(resolve_name, _FAMILIES)})


def _installation() -> str:
    torch = resolve_name("torch")
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU only"
    pretrained = resolve_name("gnnspin.force_fields.pretrained:pretrained")()
    published = resolve_name("gnnspin.datasets.published:available")()
    nested = resolve_name("gnnspin.core.key_texts:kinds_below")(resolve_name(_CONFIGURATIONS["generate"]))
    rows = {
        "gnnspin": __version__,
        "torch": f"{torch.__version__}, {device}, {torch.get_num_threads()} thread(s)",
        "models": ", ".join(resolve_name("gnnspin.models:available")()),
        "pretrained": ", ".join(f"{_PRETRAINED}{name}" for name in pretrained),
        "studies": ", ".join(STUDIES),
        "published sets": ", ".join(f"published:{name}" for name in published),
        "configurations": ", ".join(f"gnnspin info {name}" for name in _CONFIGURATIONS),
        "systems, samplers": ", ".join(nested),
        **{f"{registry.kind}s": ", ".join(registry) for registry in _registries()},
    }
    width = max(map(len, rows)) + 1
    return "\n".join(f"{name:{width}}{text}" for name, text in rows.items())


def _keys(config: Any) -> str:
    return "\n".join(resolve_name("gnnspin.core.key_texts:key_lines")(config))


def _studies() -> str:
    rows = [f"  {name} ({', '.join(SIZES)}): {summary}" for name, summary in STUDIES.items()]
    return "\n".join(["studies, each run by `gnnspin reproduce NAME -o FOLDER --size SIZE`", *rows])


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
