"""One bar: silent without a terminal, nested bars share one display, rates are of this run alone."""

from __future__ import annotations

import pytest
from rich.console import Console

from gnnspin.runs import Progress
from gnnspin.runs import progress as module


def test_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress("labels", 3) as bar:
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_rates_leave_out_what_earlier_runs_did() -> None:
    with Progress("steps", 100, done=90, unit="spin updates", per_piece=50, show=False) as bar:
        assert bar.rate == 0
        bar.advance()
        first = bar.rate
        assert first > 0
        bar.advance()
    assert bar._advanced * bar._per_piece == 100


def test_a_terminal_shows_what_is_done_and_nested_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(force_terminal=True, width=120, record=True)
    monkeypatch.setattr(module, "Console", lambda **_: console)
    monkeypatch.setattr(module, "_REFRESH_SECONDS", 0.0)
    with Progress("runs", 4, done=1) as outer:
        with Progress("training", 10, unit="epochs") as inner:
            inner.advance(note="loss 0.5")
            assert outer._display is inner._display
            outer._display.refresh()  # type: ignore[union-attr]
        outer.advance()
    assert module._displays._display is None
    text = console.export_text()
    assert "runs" in text
    assert "2/4" in text
    assert "epochs/s" in text
    assert "loss 0.5" in text
