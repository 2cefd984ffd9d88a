"""Members of a family of models: force fields at given parameters of the Hamiltonian."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.conditions import label_groups, parameter_value
from gnnspin.datasets.labels import LabelSet
from gnnspin.models.architectures.family import Family
from gnnspin.systems import SpinSystem


def member_at(force_field: Any, values: Mapping[str, float]) -> Any:
    """The member of a force field of a family at parameters of the Hamiltonian; see `ForceField.at`."""
    model = force_field.model
    if not isinstance(model, Family):
        raise InvalidInput(f"{model.name} is no family of models and has no parameters to choose; use it as it is")
    provenance = {**force_field.provenance, "parameters": {name: float(value) for name, value in values.items()}}
    member = type(force_field)(
        model.at(**values), force_field.system, provenance, dtype=force_field.dtype, device=force_field.device
    )
    if force_field.uncertainty is not None:
        member.uncertainty = force_field.uncertainty.at(model, model.parameters_of(values))
    return member


def member_or_itself(force_field: Any, values: Mapping[str, float]) -> Any:
    """The member of a family at parameters of the Hamiltonian; the force field itself where none are given."""
    return force_field.at(**values) if values else force_field


def member_of_record(force_field: Any, record: Mapping[str, Any]) -> Any:
    """The member of a family at the parameters of a recorded Hamiltonian, see `parameter_value`; any other as it is."""
    names = parameter_names(force_field)
    return force_field.at(**{name: parameter_value(name, record) for name in names}) if names else force_field


def parameter_names(source: Any) -> tuple[str, ...]:
    """Names of the parameters of the Hamiltonian that a source depends on: of a family; of any other none."""
    model = getattr(source, "model", None)
    return model.parameter_names if isinstance(model, Family) else ()


def on_labels(source: Any, labels: LabelSet) -> Iterator[tuple[SpinSystem, Any, NDArray[np.int64]]]:
    """Systems of labels, the source there, and the indices of its labels.

    Of a family the source is the member at the parameters that the labels record; a source that can be moved,
    ``source.on(system)``, is moved to the system of the labels.

    Raises
    ------
    InvalidInput
        If labels lack a parameter of a family, or a source that cannot be moved meets labels of another system.
    """
    names = parameter_names(source)
    moved: dict[SpinSystem, Any] = {}
    for indices, point in label_groups(labels, names):
        system = labels.systems[labels.system_index[indices[0]]]
        if system not in moved:
            moved[system] = _on_system(source, system)
        here = moved[system].at(**dict(zip(names, point, strict=True))) if names else moved[system]
        yield system, here, indices


def _on_system(source: Any, system: SpinSystem) -> Any:
    if source.system == system:
        return source
    if hasattr(source, "on"):
        return source.on(system)
    raise InvalidInput(f"{type(source).__name__} lives on {source.system}, the labels on {system}")
