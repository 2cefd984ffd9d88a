"""Command lines in processes of their own, forked from one that has imported gnnspin and knows no outside package yet.

A line of the standard input, a JSON list ``[log, argument, ...]``, is answered by the number of the process; the next,
of any content, by its status once it has ended: until then the number is not given to another process. An import takes
seconds, a fork none.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch

import gnnspin.labels
import gnnspin.plotting
import gnnspin.testing
import gnnspin.training.job  # noqa: F401
from gnnspin.cli import main


def run(log: str, program: str, *arguments: str) -> int:
    """Run ``gnnspin`` or ``pytest`` with its output in a file; the status."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    if program == "pytest":
        return int(pytest.main(list(arguments)))
    sys.argv = [program, *arguments]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def child(log: str, *command: str) -> None:
    """`run`, and end this process with the status, whatever happens."""
    status = 70
    try:
        status = run(log, *command)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


torch.set_num_threads(1)
if __name__ == "__main__":
    assert "spinplus" not in sys.modules
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            child(*json.loads(line))
        print(process, flush=True)
        sys.stdin.readline()
        print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
