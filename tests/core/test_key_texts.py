"""Texts of ``gnnspin info``: every key is there, what may be named is named, and a wrong name gets a near one."""

from __future__ import annotations

import pytest

from gnnspin.core import InvalidInput
from gnnspin.core.key_texts import key_lines, kinds_below
from gnnspin.information import describe
from gnnspin.labels import GenerateConfig, RelaxationSampler


def test_every_key_of_every_sampler_and_system_is_listed() -> None:
    text = describe("generate")
    lines = [line.strip() for line in text.splitlines()]
    for kind, config in kinds_below(GenerateConfig).items():
        assert kind in text
        for key in config.model_fields:
            assert key == "kind" or any(line.startswith(f"{key}:") for line in lines), (kind, key)
    assert {"kagome", "amorphous", "relaxation"} <= set(kinds_below(GenerateConfig))
    assert "save_every: required; steps between saved snapshots" in describe("relaxation")


def test_kinds_below_the_first_level_are_named_and_not_repeated() -> None:
    lines = describe("generate").splitlines()
    (hopping,) = (line for line in lines if line.strip().startswith("hopping:"))
    assert "default nearest_neighbor; a kind of" in hopping
    assert "shells" in hopping
    assert not any(line.strip().startswith("amplitudes:") for line in lines)
    assert sum(line.strip().startswith("filling:") for line in lines) == 3  # of the three solvers
    assert len(describe("sum").splitlines()) == 4  # the source and the hopping rule, a key of each
    assert any(line.strip().startswith("amplitudes:") for line in describe("shells").splitlines())


def test_defaults_are_written_as_yaml_has_them() -> None:
    assert "  force_field: default null; model file" in "\n".join(key_lines(RelaxationSampler))
    assert "dtype: default float64;" in describe("zeeman")
    for topic in ("generate", "simulate", "train", "compare", "locality", "trajectory"):
        for wrong in ("default None", "default True", "default (", "torch.float"):
            assert wrong not in describe(topic), (topic, wrong)


def test_a_wrong_topic_gets_a_near_one_and_the_list_holds_all() -> None:
    with pytest.raises(InvalidInput, match="did you mean 'heisenberg'"):
        describe("heissenberg")
    with pytest.raises(InvalidInput, match=r"'qqqqqq' is neither a file nor a topic; `gnnspin info` lists"):
        describe("qqqqqq")
    listed = describe(None)
    for name in ("kagome", "relaxation", "heisenberg", "rashba", "anneal", "scalar_chirality"):
        assert name in listed
