"""Wall time of each stage of a run over all processes that worked on it, and the memory they needed."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch
from rich.console import Console

from gnnspin.runs.files import read_json, write_json

T = TypeVar("T")


class Stages:
    """Records how long stages take, in a file, summed over interrupted and resumed runs.

    Parameters
    ----------
    path : Path
        JSON file of the record.
    show : bool
        Announce each stage on standard error.
    """

    def __init__(self, path: Path, *, show: bool = False) -> None:
        self._path, self._console = path, Console(stderr=True, quiet=not show)
        stored = read_json(path) if path.exists() else {}
        self.seconds: dict[str, float] = dict(stored.get("seconds", {}))
        self.memory: dict[str, float] = dict(stored.get("memory", {}))
        self.peak_memory = float(stored.get("peak_memory", 0.0))

    def say(self, text: str) -> None:
        """Show a line."""
        self._console.print(text)

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do `work`; add its wall time to that of the stage and note its memory, also where it is interrupted."""
        self.say(stage)
        _forget_peak()
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
            self.memory[stage] = max(self.memory.get(stage, 0.0), _peak_since())
            self.peak_memory = max(self.peak_memory, _peak_memory())
            record = {"seconds": self.seconds, "memory": self.memory, "peak_memory": self.peak_memory}
            write_json(self._path, record)


def _forget_peak() -> None:
    """Start the peak of this process anew, where the system can (Linux)."""
    with suppress(OSError):
        control = os.open("/proc/self/clear_refs", os.O_WRONLY)
        try:
            os.write(control, b"5")
        finally:
            os.close(control)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _peak_since() -> float:
    """Largest resident memory of this process since `_forget_peak` (since its start elsewhere), or that on its GPU."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated() > 0:
        return float(torch.cuda.max_memory_allocated())
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * float(next(line for line in lines if line.startswith("VmHWM")).split()[1])
    return _peak_memory()


def _peak_memory() -> float:
    """Largest resident memory of one process so far, children included, in bytes."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak * (1 if sys.platform == "darwin" else 1024)
