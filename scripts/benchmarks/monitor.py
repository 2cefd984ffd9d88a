"""The monitor of a run: does it find a model at the wrong filling, and are its windows right?

    python scripts/benchmarks/monitor.py [--size 48]

Triangular lattice, J = 3, kT = 0.01, model `tetrahedral_fast` (mu = -3.2), poles at tolerance 1e-2, one thread. First
24x24 as a whole, at the model's chemical potential and at others. Then a lattice of the given size at time 30 and 200
of a quench, on windows: errors against those of the same sites solved within the whole lattice.
"""

from __future__ import annotations

import argparse
import time
import warnings

import torch

import gnnspin as gs
from gnnspin.core.state import State
from gnnspin.dynamics.monitor import RunningMonitor


def source(system: gs.systems.SpinSystem, mu: float) -> gs.electrons.PoleExpansion:
    """The exact solver."""
    hamiltonian = gs.electrons.SDHamiltonian(system, J=3.0)
    return gs.electrons.PoleExpansion(hamiltonian, kT=0.01, mu=mu, tolerance=1e-2)


def planted() -> None:
    """Error at the first check of runs whose electrons have another chemical potential than the model's."""
    system = gs.systems.triangular(24, 24)
    model, start = gs.load("pretrained:tetrahedral_fast", system), gs.core.random_spins(system.n_sites, seed=1)
    print("| mu of the exact source | filling | error at the first check | exact torque | relative | flagged |")
    print("|---|---|---|---|---|---|")
    for mu in (-3.2, -3.0, -2.0, 0.0):
        exact = source(system, mu)
        filling = float(exact.solve(start).n_electrons) / (2 * system.n_sites)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run = gs.dynamics.simulate(
                model,
                start,
                dt=1.0,
                n_steps=0,
                damping=0.1,
                monitor=gs.dynamics.Monitor(exact, limit=0.35),
                progress=False,
            )
        error, torque = (float(run.observables[f"monitor_{name}"][0]) for name in ("error", "torque"))
        flagged = "yes" if caught else "no"
        print(f"| {mu} | {filling:.3f} | {error:.4f} | {torque:.4f} | {error / torque:.0%} | {flagged} |", flush=True)


def on_windows(size: int) -> None:
    """Errors on windows and on the same sites of the whole lattice."""
    system = gs.systems.triangular(size, size)
    model, exact = gs.load("pretrained:tetrahedral_fast", system), source(system, -3.2)
    spins, now = gs.core.random_spins(system.n_sites, seed=2), 0
    print("\n| time | window, buffer | sites | error on windows | in the whole | truncation error | check | whole |")
    print("|---|---|---|---|---|---|---|---|")
    for moment in (30, 200):
        steps = (moment - now) // 2
        spins = gs.dynamics.simulate(
            model, spins, dt=2.0, n_steps=steps, damping=0.1, kT=0.01, seed=moment, progress=False
        ).spins
        now = moment
        begin = time.process_time()
        true = model.torque(spins) - exact.torque(spins)
        whole = time.process_time() - begin
        for window in (6, 10):
            monitor = gs.dynamics.Monitor(exact, every=1, max_sites=1500, window=window, places=4)
            watch = RunningMonitor(monitor, model)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                watch._check(State(spins, step=0))
            begin = time.process_time()
            found = watch._check(State(spins, step=1))
            spent = time.process_time() - begin
            sites = torch.cat([each.sites[each.inner] for each in watch._windows(1)])
            expected = float(true[sites].square().mean().sqrt())
            print(
                f"| {moment} | {window}, {watch.monitor.buffer} | {found.n_sites} | {found.torque_rmse:.5f} | "
                f"{expected:.5f} | {watch.truncation_error:.5f} | {spent:.2f} s | {whole:.2f} s |",
                flush=True,
            )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=48)
    given = parser.parse_args()
    torch.set_num_threads(1)
    planted()
    on_windows(given.size)


if __name__ == "__main__":
    main()
