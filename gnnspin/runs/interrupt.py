"""The one handling of Ctrl-C: the first ends a run in good order, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """Whether the user asked to stop."""

    def __init__(self) -> None:
        self._event = threading.Event()

    @property
    def requested(self) -> bool:
        """True from the first Ctrl-C on."""
        return self._event.is_set()

    def request(self) -> None:
        """Ask to stop, as Ctrl-C does."""
        self._event.set()

    def raise_if_requested(self) -> None:
        """Raise KeyboardInterrupt if the user asked to stop; called where everything is stored."""
        if self.requested:
            raise KeyboardInterrupt


class _AtOnce(BaseException):
    """The second Ctrl-C; becomes a KeyboardInterrupt at the end of the block.

    No KeyboardInterrupt from the start, because Lightning answers that by ending the process.
    """


_active: Interrupt | None = None


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Turn the first Ctrl-C into a flag that the block looks at between steps; the second one raises KeyboardInterrupt.

    Blocks may be nested, and all see one flag: an inner run that was asked to stop returns in good order, and the outer
    one finds out from its own flag. Where the signal has a handler of somebody else's, and in threads other than the
    main one (which receive no signals), nothing is changed.

    Yields
    ------
    Interrupt
        Flag of this block and of all that it is in.
    """
    with _as_keyboard_interrupt():
        if _active is not None:
            yield _active
        elif _default_handling():
            with _handler() as stop:
                yield stop
        else:
            yield Interrupt()


def _default_handling() -> bool:
    return (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )


@contextmanager
def _handler() -> Iterator[Interrupt]:
    global _active
    stop = Interrupt()

    def handle(number: int, frame: FrameType | None) -> None:
        if stop.requested:
            raise _AtOnce
        stop.request()

    _active = stop
    signal.signal(signal.SIGINT, handle)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _active = None


@contextmanager
def _as_keyboard_interrupt() -> Iterator[None]:
    try:
        yield
    except _AtOnce:
        raise KeyboardInterrupt from None
