"""Splits of a set of labels that keep correlated snapshots on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets import published
from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.labels import LabelSet

_PUBLISHED = "published:"
_BLOCKS = 10


def open_labels(name: str) -> LabelSet:
    """Labels named in a configuration: the path of a label store, or ``published:NAME``.

    Raises
    ------
    StoreError, InvalidInput
        As `LabelStore` and `published.load`.
    """
    if name.startswith(_PUBLISHED):
        return published.load(name.removeprefix(_PUBLISHED))
    return LabelStore(Path(name))


def holdout(labels: LabelSet, fraction: float, *, seed: int = 0) -> tuple[LabelSet, LabelSet]:
    """Split labels into a part to train on and a part held out.

    Snapshots of one trajectory are correlated, so a trajectory is never divided at random: of five trajectories or
    more, whole ones are held out; of fewer, whole blocks of a tenth of a trajectory. Independent snapshots are drawn
    at random.

    Parameters
    ----------
    labels : LabelSet
    fraction : float
        Share to hold out, between 0 and 1.
    seed : int

    Returns
    -------
    (rest, held_out)

    Raises
    ------
    InvalidInput
        If `fraction` is out of range or either side would be empty.
    """
    if not 0 < fraction < 1:
        raise InvalidInput(f"fraction={fraction} of labels to hold out must lie between 0 and 1")
    rng = np.random.default_rng(seed)
    groups = _trajectories(labels)
    singles = [g for g in groups if len(g) == 1]
    long = [g for g in groups if len(g) > 1]
    if len(long) < 5:
        long = [block for g in long for block in np.array_split(g, min(_BLOCKS, len(g)))]
    held = np.zeros(len(labels), dtype=bool)
    for units in (singles, long):
        count = max(1, round(fraction * len(units))) if units else 0
        for k in rng.permutation(len(units))[:count]:
            held[units[k]] = True
    if held.all() or not held.any():
        raise InvalidInput(f"cannot hold out {fraction} of {len(labels)} labels in {len(groups)} trajectories")
    return labels.subset(np.flatnonzero(~held)), labels.subset(np.flatnonzero(held))


def _trajectories(labels: LabelSet) -> list[NDArray[np.int64]]:
    """Indices of the labels of each trajectory; an independent snapshot is one of its own."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, label in enumerate(labels):
        sampler = label.provenance.get("sampler", {})
        if "step" in sampler:
            key: tuple[object, ...] = (label.system.fingerprint, sampler["kind"], label.provenance.get("seed"))
        elif "step" in label.provenance:
            key = (label.system.fingerprint, label.provenance.get("file"))
        else:
            key = ("single", k)
        groups.setdefault(key, []).append(k)
    return [np.array(members) for members in groups.values()]
