"""Matrices in tests are small: one thread is fastest, and results do not depend on the machine's cores.

Threads of BLAS are set before numpy and scipy are imported, and what tests start inherits it: two test processes whose
libraries each take all cores wait for one another most of the time.

Ctrl-C interrupts, also where the tests were started in the background of a shell that ignores it. Initial weights are
the same in every run and whatever ran before.
"""

from __future__ import annotations

import gc
import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
import torch

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
# what collection imports and builds lives as long as the process: searching it for garbage again and again is in vain
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector work, on what the tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Networks that a test builds start from the same weights in every run."""
    torch.manual_seed(0)
