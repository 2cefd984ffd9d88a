"""`generate`: exact labels of planned spin configurations, resumable at any moment, on one worker or many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gnnspin.core.errors import StoreError
from gnnspin.datasets.label_store import LabelStore
from gnnspin.labels.config import GenerateConfig
from gnnspin.labels.plan import Plan, make_plan
from gnnspin.labels.workers import Task, workers
from gnnspin.runs import Progress, interruptible, owned, require_same_run


def generate(
    config: GenerateConfig,
    output: str | Path,
    *,
    n_workers: int = 1,
    scheduler: str | None = None,
    progress: bool = True,
    resume: bool = False,
) -> LabelStore:
    """Solve every planned spin configuration and store its label.

    All snapshots follow from the configuration and its seed. Each label is on disk as soon as it is solved; a run that
    was interrupted, even killed, and is resumed on the same machine gives the same store as one that was not, whatever
    the number of workers. A trajectory restarts from its last stored snapshot; the loss of a worker costs the snapshot
    it was working on.

    Parameters
    ----------
    config : GenerateConfig
    output : path
        HDF5 file, see `LabelStore`.
    n_workers : int
        Processes of a local Dask cluster; 1 solves in this process. In a script, call this with more than one below
        ``if __name__ == "__main__":``.
    scheduler : str, optional
        Address of a Dask scheduler to use instead, such as ``tcp://node:8786``.
    progress : bool
        Show a progress bar with rate and remaining time.
    resume : bool
        Go on with an existing `output` of the same configuration; start when there is none.

    Returns
    -------
    LabelStore

    Raises
    ------
    StoreError
        If `output` exists and `resume` is not set, or belongs to another configuration.
    InvalidInput
        If a system cannot be built, an order does not fit it, or the workers cannot be had.
    KeyboardInterrupt
        On Ctrl-C; `output` holds what was solved.
    """
    plan = make_plan(config)
    store = _open(config, plan, Path(output), resume)
    tasks = list(_missing(plan, store))
    with (
        owned(output, "label store"),
        interruptible() as interrupt,
        Progress("labels", plan.n_snapshots, done=len(store), show=progress) as bar,
        workers(min(n_workers, max(1, len(tasks))), scheduler) as run,
    ):
        for task, label in run(config, tasks):
            store.append(label, number=task.number)
            bar.advance()
            interrupt.raise_if_requested()
    store.compact()
    return store


def _open(config: GenerateConfig, plan: Plan, output: Path, resume: bool) -> LabelStore:
    if output.exists() and _holds_nothing(output):
        output.unlink()
    if not output.exists():
        metadata = {
            "config": config.model_dump(mode="json"),
            "config_fingerprint": config.fingerprint,
            "files": config.named_files(),
            "n_planned": plan.n_snapshots,
        }
        return LabelStore.create(output, metadata)
    if not resume:
        raise StoreError(f"{output} exists; choose another output, or resume to go on with an interrupted run")
    store = LabelStore(output)
    if store.metadata.get("config_fingerprint") != config.fingerprint:
        require_same_run(config, store.metadata.get("config", {}), where=output, kind="set of labels")
        if config.order_files():
            raise StoreError(
                f"{output} was made with other spins in {', '.join(config.order_files())}; restore the files"
            )
    now, then = config.named_files(), store.metadata.get("files", {})
    changed = [name for name in now if then.get(name, now[name]) != now[name]]
    if changed:
        raise StoreError(f"{output} was made with other content in {', '.join(changed)}; restore the files")
    return store


def _holds_nothing(output: Path) -> bool:
    """Whether a run was stopped, by a mistake in its configuration for instance, before it had a label."""
    store = LabelStore(output)
    return len(store) == 0 and "config_fingerprint" in store.metadata


def _missing(plan: Plan, store: LabelStore) -> Iterator[Task]:
    """The first missing snapshot of every job; those after it follow."""
    position = {number: k for k, number in enumerate(store.numbers)}
    for job in plan.jobs:
        for snapshot in range(job.n_snapshots):
            if job.first + snapshot not in position:
                before = position.get(job.first + snapshot - 1) if snapshot else None
                yield Task(job, snapshot, None if before is None else store[before].spins)
                break
