"""Wall time of each stage of a study over all processes that worked on it, and the memory they needed."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from gnnspin.runs import read_json, write_json

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
        self.seconds: dict[str, float] = dict(read_json(path)["seconds"]) if path.exists() else {}
        self.peak_memory: float = float(read_json(path)["peak_memory"]) if path.exists() else 0.0

    def say(self, text: str) -> None:
        """Show a line."""
        self._console.print(text)

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do `work` and add its wall time to that of the stage, also where it is interrupted."""
        self.say(stage)
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
            self.peak_memory = max(self.peak_memory, _peak_memory())
            write_json(self._path, {"seconds": self.seconds, "peak_memory": self.peak_memory})


def _peak_memory() -> float:
    """Largest resident memory of one process so far, children included, in bytes."""
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak * (1 if sys.platform == "darwin" else 1024)
