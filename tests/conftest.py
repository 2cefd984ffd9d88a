"""Tensors in tests are small: one thread is fastest, and results do not depend on the machine's cores."""

from __future__ import annotations

import gc

import torch

torch.set_num_threads(1)
# what collection imports and builds lives as long as the process: searching it for garbage again and again is in vain
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector work, on what the tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()
