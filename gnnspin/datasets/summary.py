"""Summary of a set of labels in a few lines: torques, fields, energies, temperature, samplers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gnnspin.datasets.labels import Label, LabelSet

#: Labels of which the numbers are taken, spread evenly over a larger set.
_LOOKED_AT = 200


def summary(labels: LabelSet) -> dict[str, str]:
    """Quantities of a set of labels in words, by name.

    Root mean squares are per Cartesian component and spin, in units of the hopping. Of a set of more than 200 labels,
    as many spread evenly are looked at, and the first entry says so.
    """
    if len(labels) == 0:
        return {}
    chosen = np.unique(np.linspace(0, len(labels) - 1, min(len(labels), _LOOKED_AT)).round().astype(int))
    seen = list(labels.subset(chosen))
    provenances = [label.provenance for label in seen]
    counts = Counter(str(known.get("sampler", {}).get("kind", "not recorded")) for known in labels.provenances)
    numbers = {
        "torque rms": _rms(seen, "torque"),
        "field rms": _rms(seen, "field"),
        "energy per site": _values([label.energy / len(label.spins) for label in seen if label.energy is not None]),
        "mu": _values([label.mu for label in seen if label.mu is not None]),
        "electrons per site": _values(
            [label.n_electrons / len(label.spins) for label in seen if label.n_electrons is not None]
        ),
        "kT": _values([kT for known in provenances if (kT := _kT(known)) is not None]),
    }
    looked_at = {"looked at": f"{len(seen)} of {len(labels)} labels"} if len(seen) < len(labels) else {}
    samplers = {"samplers": ", ".join(f"{kind} {count}" for kind, count in counts.items())}
    if set(counts) == {"not recorded"}:
        samplers = {"samplers": ""}
    return {**looked_at, **{name: text or "not recorded" for name, text in {**numbers, **samplers}.items()}}


def _rms(labels: list[Label], name: str) -> str:
    """Root mean square over all labels, and its range from label to label."""
    squares = np.array([float(getattr(label, name).square().mean()) for label in labels])
    sizes = np.array([len(label.spins) for label in labels])
    whole = float(np.sqrt((squares * sizes).sum() / sizes.sum()))
    return f"{whole:.4g}{_spread(np.sqrt(squares))}"


def _values(values: list[float]) -> str:
    if not values:
        return ""
    array = np.array(values, dtype=np.float64)
    return f"{array.mean():.6g}{_spread(array)}"


def _spread(values: NDArray[np.float64]) -> str:
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        return ""
    return f" (standard deviation {values.std():.2g}, {low:.6g} to {high:.6g})"


def _kT(provenance: Mapping[str, Any]) -> float | None:
    kT = provenance.get("solver", {}).get("kT")
    return float(kT) if isinstance(kT, int | float) else None
