"""Splits never put correlated snapshots on both sides."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import gnnspin as gs
from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.datasets import Label, LabelStore, holdout, open_labels


def store_of(path: Path, trajectories: int, length: int, singles: int) -> LabelStore:
    system = gs.systems.chain(4)
    source = Heisenberg(system)
    store = LabelStore.create(path)
    rows = [({"kind": "relaxation", "step": s}, k) for k in range(trajectories) for s in range(length)]
    rows += [({"kind": "random"}, 100 + k) for k in range(singles)]
    for k, (sampler, seed) in enumerate(rows):
        spins = random_spins(4, seed=k)
        store.append(Label(system, spins, source.field(spins), provenance={"sampler": sampler, "seed": seed}))
    return store


def test_whole_trajectories_are_held_out(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a.h5", trajectories=6, length=5, singles=20)
    rest, held = holdout(store, 0.2, seed=3)
    assert len(rest) + len(held) == len(store)
    seeds = [{label.provenance["seed"] for label in side} for side in (rest, held)]
    assert not seeds[0] & seeds[1]
    assert sum("step" in label.provenance["sampler"] for label in held) == 5
    assert sum("step" not in label.provenance["sampler"] for label in held) == 4


def test_one_trajectory_is_cut_into_blocks(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a.h5", trajectories=1, length=40, singles=0)
    _, held = holdout(store, 0.2, seed=0)
    steps = sorted(label.provenance["sampler"]["step"] for label in held)
    assert len(steps) == 8
    assert sum(b - a > 1 for a, b in pairwise(steps)) <= 1


def test_errors(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a.h5", trajectories=0, length=0, singles=1)
    with pytest.raises(InvalidInput, match="between 0 and 1"):
        holdout(store, 1.0)
    with pytest.raises(InvalidInput, match="cannot hold out"):
        holdout(store, 0.5)
    with pytest.raises(StoreError):
        open_labels(str(tmp_path / "none.h5"))
    with pytest.raises(InvalidInput, match="unknown published set"):
        open_labels("published:nothing")
