"""Splits of a set of labels that keep correlated snapshots on one side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number
from gnnspin.datasets import published
from gnnspin.datasets.joined import JoinedLabels
from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.labels import COPY, LabelSet, LabelSubset

_PUBLISHED = "published:"
_BLOCKS = 10


def open_labels(name: str | Sequence[str]) -> LabelSet:
    """Labels named in a configuration: the path of a label store, ``published:NAME``, or several of these.

    Raises
    ------
    StoreError, InvalidInput
        As `LabelStore` and `published.load`.
    """
    if not isinstance(name, str):
        return JoinedLabels([open_labels(each) for each in name])
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
        If `fraction` is out of range, either side would be empty, or labels are copies of others.
    """
    if not 0 < fraction < 1:
        raise InvalidInput(f"fraction={fraction} of labels to hold out must lie between 0 and 1")
    rng = np.random.default_rng(seed_number(seed))
    groups = _trajectories(labels)
    singles, long = _units(groups, 5)
    held = np.zeros(len(labels), dtype=bool)
    for units in (singles, long):
        count = max(1, round(fraction * len(units))) if units else 0
        for k in rng.permutation(len(units))[:count]:
            held[units[k]] = True
    if held.all() or not held.any():
        raise InvalidInput(f"cannot hold out {fraction} of {len(labels)} labels in {len(groups)} trajectories")
    return labels.subset(np.flatnonzero(~held)), labels.subset(np.flatnonzero(held))


def k_folds(
    labels: LabelSet, count: int, *, blocks: int | None = None, seed: int = 0
) -> list[tuple[LabelSubset, LabelSubset]]:
    """Divide labels into `count` parts of nearly equal size, each held out once.

    Parameters
    ----------
    labels : LabelSet
    count : int
        Number of folds, at least 2.
    blocks : int, optional
        Cut every trajectory into so many blocks of successive snapshots and deal out whole blocks. Default: whole
        trajectories where there are at least `count`, else ten blocks of each (or `count`, if that is more).
    seed : int

    Returns
    -------
    list of (rest, held_out)
        Every label is held out exactly once.

    Raises
    ------
    InvalidInput
        If a number is out of range, there are too few independent parts to fill the folds, or labels are copies of
        others.
    """
    if count < 2 or (blocks is not None and blocks < 1):
        raise InvalidInput(f"folds={count} must be at least 2, blocks={blocks} at least 1 (or None)")
    rng = np.random.default_rng(seed_number(seed))
    singles, long = _units(_trajectories(labels), count, blocks)
    if len(singles) + len(long) < count:
        raise InvalidInput(
            f"{len(labels)} labels in {len(singles) + len(long)} independent parts cannot fill {count} folds; "
            "use fewer folds, or more blocks of each trajectory"
        )
    shuffled = [units[k] for units in (long, singles) for k in rng.permutation(len(units))]
    fold = np.empty(len(labels), dtype=np.int64)
    for k, members in enumerate(shuffled):
        fold[members] = k % count
    return [(labels.subset(np.flatnonzero(fold != k)), labels.subset(np.flatnonzero(fold == k))) for k in range(count)]


def _units(
    groups: list[NDArray[np.int64]], whole: int, blocks: int | None = None
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Single snapshots, and trajectories: in blocks if asked for, or if there are fewer than `whole`."""
    singles = [g for g in groups if len(g) == 1]
    long = [g for g in groups if len(g) > 1]
    if blocks is None and len(long) < whole:
        blocks = max(_BLOCKS, whole)
    if blocks is not None:
        long = [block for g in long for block in np.array_split(g, min(blocks, len(g)))]
    return singles, long


def _trajectories(labels: LabelSet) -> list[NDArray[np.int64]]:
    """Indices of the labels of each trajectory; an independent snapshot counts as a trajectory of its own."""
    groups: dict[tuple[object, ...], list[int]] = {}
    owner = labels.system_index.tolist()
    for k, provenance in enumerate(labels.provenances):
        if COPY in provenance:
            raise InvalidInput(
                f"label {k} is a copy of another ({provenance[COPY]}); split the labels first, then augment the "
                "part to train on"
            )
        sampler = provenance.get("sampler", {})
        if "step" in sampler:
            key: tuple[object, ...] = (owner[k], sampler["kind"], provenance.get("seed"))
        elif "step" in provenance:
            key = (owner[k], provenance.get("file"))
        else:
            key = ("single", k)
        groups.setdefault(key, []).append(k)
    return [np.array(members) for members in groups.values()]
