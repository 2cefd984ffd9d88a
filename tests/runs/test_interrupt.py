"""The first Ctrl-C ends a run in good order, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from gnnspin.runs import Interrupt, interruptible


@pytest.fixture(autouse=True)
def _default_handler() -> Iterator[None]:
    """A job in the background may start with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_the_first_is_a_flag_and_the_second_interrupts() -> None:
    reached: list[bool | str] = []
    with pytest.raises(KeyboardInterrupt):
        _press_twice(reached)
    assert reached == [False, True]


def _press_twice(reached: list[bool | str]) -> None:
    with interruptible() as stop:
        reached.append(stop.requested)
        press()
        reached.append(stop.requested)
        try:
            press()
        except KeyboardInterrupt:
            reached.append("caught")
        reached.append("never")


def test_nested_runs_share_the_flag() -> None:
    """An inner run returns in good order, and the outer one knows it; one that begins afterwards stops at once."""
    with interruptible() as outer:
        with interruptible() as inner:
            press()
            assert inner.requested
        assert outer.requested
        with interruptible() as later:
            assert later.requested
        with pytest.raises(KeyboardInterrupt):
            outer.raise_if_requested()
    with interruptible() as fresh:
        assert not fresh.requested


def test_the_second_passes_what_catches_keyboard_interrupts_inside() -> None:
    """Lightning ends the process on a KeyboardInterrupt; the second Ctrl-C becomes one at the end of the block."""
    reached: list[bool | str] = []
    with interruptible() as outer:
        with pytest.raises(KeyboardInterrupt):
            _press_twice(reached)
        assert outer.requested
    assert "caught" not in reached


def test_other_threads_see_the_flag_and_change_no_handler() -> None:
    seen: list[bool] = []

    def work() -> None:
        with interruptible() as stop:
            seen.append(stop.requested)

    def run() -> None:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    run()
    with interruptible():
        press()
        run()
    assert seen == [False, True]


def test_a_foreign_handler_is_left_alone() -> None:
    pressed = []
    signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    with interruptible() as stop:
        press()
        assert not stop.requested
    assert pressed == [signal.SIGINT]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_program_may_ask_too() -> None:
    stop = Interrupt()
    stop.raise_if_requested()
    stop.request()
    with pytest.raises(KeyboardInterrupt):
        stop.raise_if_requested()
