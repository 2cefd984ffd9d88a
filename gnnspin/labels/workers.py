"""Where snapshots are solved: in this process, on a local Dask cluster, or on any Dask scheduler."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import Label
from gnnspin.labels.config import GenerateConfig
from gnnspin.labels.plan import Job
from gnnspin.labels.solve import solve_snapshot

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Task:
    """One snapshot to solve; `previous` are the spins it follows in its trajectory."""

    job: Job
    snapshot: int
    previous: Tensor | None = None

    @property
    def number(self) -> int:
        """Record number."""
        return self.job.first + self.snapshot

    def following(self, label: Label) -> Task | None:
        """The next snapshot of the trajectory once this one is solved."""
        if self.snapshot + 1 == self.job.n_snapshots:
            return None
        return Task(self.job, self.snapshot + 1, label.spins)


Solver = Callable[[GenerateConfig, Iterable[Task]], Iterator[tuple[Task, Label]]]


def solve_here(config: GenerateConfig, tasks: Iterable[Task]) -> Iterator[tuple[Task, Label]]:
    """Solve tasks and those that follow them one by one in this process."""
    queue = deque(tasks)
    while queue:
        task = queue.popleft()
        label = solve_snapshot(config, task.job, task.snapshot, task.previous)
        yield task, label
        following = task.following(label)
        if following is not None:
            queue.appendleft(following)


@contextmanager
def workers(number: int, scheduler: str | None) -> Iterator[Solver]:
    """Choose where to solve.

    Parameters
    ----------
    number : int
        Processes of a local Dask cluster, one thread each; 1 solves in this process.
    scheduler : str, optional
        Address of a running Dask scheduler, used instead of a local cluster.

    Raises
    ------
    InvalidInput
        If `number` is not positive, Dask is needed but not installed, or the scheduler does not answer.
    """
    if number < 1:
        raise InvalidInput(f"workers={number} must be at least 1")
    if number == 1 and scheduler is None:
        yield solve_here
        return
    if find_spec("distributed") is None:
        raise InvalidInput("more than one worker needs Dask: pip install 'gnnspin[distributed]', or use workers=1")
    with _client(number, scheduler) as client:
        yield lambda config, tasks: _solve_on(client, config, tasks)


def default_workers() -> int:
    """One worker per usable core where Dask is installed, else 1."""
    if find_spec("distributed") is None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _client(number: int, scheduler: str | None) -> Iterator[Client]:
    from distributed import Client, LocalCluster

    if scheduler is not None:
        try:
            client = Client(scheduler, timeout=20)
        except (OSError, ValueError) as error:
            raise InvalidInput(f"no Dask scheduler answers at {scheduler!r} ({error}); check the address") from error
        with client:
            yield client
        return
    cluster = LocalCluster(
        n_workers=number,
        threads_per_worker=1,
        processes=True,
        memory_limit=0,
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    with cluster, Client(cluster) as client:
        yield client


def _solve_on(client: Client, config: GenerateConfig, tasks: Iterable[Task]) -> Iterator[tuple[Task, Label]]:
    """Solve tasks on a cluster, in the order in which they finish; a lost worker's snapshot is solved again."""
    from distributed import as_completed

    queue = deque(tasks)
    running: dict[object, Task] = {}
    finished = as_completed()

    def submit(task: Task) -> None:
        future = client.submit(solve_snapshot, config, task.job, task.snapshot, task.previous, pure=False, retries=2)
        running[future.key] = task
        finished.add(future)

    def fill() -> None:
        while queue and len(running) < 2 * max(1, len(client.scheduler_info()["workers"])):
            submit(queue.popleft())

    fill()
    for future in finished:
        task, label = running.pop(future.key), future.result()
        yield task, label
        following = task.following(label)
        if following is not None:
            queue.appendleft(following)
        fill()
