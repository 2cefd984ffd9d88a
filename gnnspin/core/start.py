"""Ctrl-C while a command starts: imports take seconds, and an exception in the middle of one is a traceback."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: Exit status of a process that Ctrl-C ended.
INTERRUPTED = 130


@contextmanager
def starting() -> Iterator[None]:
    """End the process in one line at a Ctrl-C during the block, which must not have anything to lose.

    Where the signal has a handler of somebody else's, and in threads other than the main one, nothing is changed.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    os.write(2, b"gnnspin: interrupted\n")
    os._exit(INTERRUPTED)
