"""A summary of labels states what was put in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.datasets.summary import summary
from gnnspin.information import describe


def test_summary_of_known_labels(tmp_path: Path) -> None:
    """Fields of length 2 across the spins: torques and fields of 2 per spin, 2 / sqrt(3) per component."""
    system = gs.systems.square(3, 3)
    store = LabelStore.create(tmp_path / "a.h5")
    for k in range(4):
        spins = random_spins(9, seed=k)
        across = torch.linalg.cross(spins, random_spins(9, seed=k + 50))
        field = 2 * across / across.norm(dim=-1, keepdim=True)
        sampler = {"kind": "relaxation" if k else "random"}
        provenance = {"solver": {"kT": 0.01}, "sampler": sampler}
        store.append(Label(system, spins, field, energy=-9.0 * (1 + k), provenance=provenance))
    found = summary(store)
    assert found["torque rms"] == found["field rms"] == f"{2 / 3**0.5:.4g}"
    assert found["energy per site"] == "-2.5 (standard deviation 1.1, -4 to -1)"
    assert (found["kT"], found["mu"], found["samplers"]) == ("0.01", "not recorded", "random 1, relaxation 3")
    text = describe(str(store.path))
    assert "4 labels of 1 systems" in text
    assert "torque rms           1.155" in text
    assert "{}" not in text


def test_large_and_empty_sets(tmp_path: Path) -> None:
    system = gs.systems.chain(2)
    store = LabelStore.create(tmp_path / "a.h5")
    assert summary(store) == {}
    for k in range(3):
        store.append(Label(system, random_spins(2, seed=k), random_spins(2, seed=k)))
    many = store.subset([k % 3 for k in range(1000)])
    found = summary(many)
    assert found["looked at"] == "200 of 1000 labels"
    assert found["samplers"] == "not recorded"


@pytest.mark.parametrize(("topic", "words"), [("analyze", "gnnspin info locality"), ("evaluate", "MODEL LABELS")])
def test_commands_without_a_configuration_are_described(topic: str, words: str) -> None:
    assert words in describe(topic)


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("zeeman", "phase: default 0.0; Phase in radians"),
        ("rashba", "parameters of the hopping rule rashba"),
        ("sum", "parameters of the source sum"),
        ("sum", "parameters of the hopping rule sum"),
        ("sd", "parameters of the Hamiltonian sd"),
        ("semi_infinite", "parameters of the lead semi_infinite"),
        ("quench", "time: default 0.0; When the temperature changes."),
    ],
)
def test_everything_with_a_kind_is_described(topic: str, words: str) -> None:
    assert words in describe(topic)


def test_unknown_topics_are_told_a_near_one() -> None:
    with pytest.raises(InvalidInput, match=r"'zeman' is neither .* did you mean 'zeeman'"):
        describe("zeman")
