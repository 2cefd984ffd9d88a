"""Joined sets are their members, one after the other."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.datasets import JoinedLabels, Label, LabelStore, holdout

SQUARE, CHAIN = gs.systems.square(3, 3), gs.systems.chain(5)


def store(path, system, count, *, energy=True):
    labels = LabelStore.create(path)
    for k in range(count):
        spins = random_spins(system.n_sites, seed=100 * system.n_sites + k)
        labels.append(Label(system, spins, torch.full_like(spins, k), energy=float(k) if energy else None), number=k)
    return labels


def test_members_follow_each_other_and_equal_systems_are_one(tmp_path):
    first = store(tmp_path / "a.h5", SQUARE, 3)
    second = store(tmp_path / "b.h5", CHAIN, 2)
    third = store(tmp_path / "c.h5", SQUARE, 2, energy=False)
    joined = JoinedLabels([first, second, third])
    assert len(joined) == 7
    assert joined.systems == (SQUARE, CHAIN)
    assert joined.system_index.tolist() == [0, 0, 0, 1, 1, 0, 0]
    expected = [*first, *second, *third]
    for mine, theirs in zip(joined, expected, strict=True):
        assert torch.equal(mine.spins, theirs.spins)
        assert mine.energy == theirs.energy
    stack = joined.stacked([5, 0, 2, 6])
    assert stack.energy is None
    for k, index in enumerate((5, 0, 2, 6)):
        assert torch.equal(stack.spins[k], expected[index].spins)
    assert joined.stacked([2, 0]).energy.tolist() == [2.0, 0.0]
    rest, held = holdout(joined, 0.3, seed=1)
    assert len(rest) + len(held) == 7
    with pytest.raises(InvalidInput, match="at least one"):
        JoinedLabels([])
