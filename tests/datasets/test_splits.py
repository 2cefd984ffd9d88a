"""Splits never put correlated snapshots on both sides."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

import gnnspin as gs
from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.datasets import Label, LabelStore, holdout, k_folds, open_labels


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


@pytest.mark.parametrize(("trajectories", "blocks"), [(6, None), (2, None), (2, 8)])
def test_folds_hold_every_label_out_once(tmp_path: Path, trajectories: int, blocks: int | None) -> None:
    """Folds partition the labels; trajectories stay whole, or go in runs of successive steps."""
    store = store_of(tmp_path / "a.h5", trajectories=trajectories, length=15, singles=20)
    folds = k_folds(store, 5, blocks=blocks, seed=1)
    held = sorted(int(k) for _, part in folds for k in part.indices)
    assert held == list(range(len(store)))
    runs = 0
    for rest, part in folds:
        assert set(rest.indices) | set(part.indices) == set(range(len(store)))
        assert not set(rest.indices) & set(part.indices)
        assert sum("step" not in label.provenance["sampler"] for label in part) == 4
        steps = [label.provenance["sampler"]["step"] for label in part if "step" in label.provenance["sampler"]]
        runs += 1 + sum(b != a + 1 for a, b in pairwise(steps))
    assert runs <= trajectories * (1 if trajectories >= 5 else blocks or 10)


def test_too_few_parts_for_the_folds(tmp_path: Path) -> None:
    store = store_of(tmp_path / "a.h5", trajectories=1, length=12, singles=0)
    with pytest.raises(InvalidInput, match="cannot fill 5 folds"):
        k_folds(store, 5, blocks=3)
    with pytest.raises(InvalidInput, match="at least 2"):
        k_folds(store, 1)
