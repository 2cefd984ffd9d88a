"""Entry point of ``gnnspin`` and of ``python -m gnnspin``."""

from __future__ import annotations

from importlib import import_module

from gnnspin.core.start import starting


def main() -> None:
    """Run the command line; Ctrl-C ends it in one line from the first moment on."""
    with starting():
        command_line = import_module("gnnspin.cli")
    command_line.main()


if __name__ == "__main__":
    main()
