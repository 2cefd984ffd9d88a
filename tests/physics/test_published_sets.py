"""Learning on published labels: more accurate than the published network."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnnspin.core import StoreError
from gnnspin.datasets import holdout, published
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

DATA = Path(__file__).parents[3] / "shared" / "data"

#: Torque error per component of the authors' network on their own test snapshots.
PUBLISHED_TORQUE_RMSE = 0.0231


@pytest.mark.slow
def test_kondo_square_random(tmp_path: Path) -> None:
    try:
        labels = published.load("kondo_square_random", DATA if DATA.is_dir() else None)
    except StoreError as error:
        pytest.skip(str(error))
    rest, test = holdout(labels, 0.15, seed=0)
    train, validation = holdout(rest, 0.1, seed=1)
    model = ModelConfig(cutoff=3.0).build(train.systems[0])
    config = TrainingConfig(max_epochs=15, batch_size=5)
    result = fit(model, train, validation, config, directory=tmp_path / "run", progress=False)
    assert evaluate(result.force_field, test).torque_rmse < PUBLISHED_TORQUE_RMSE
