"""Change of the torque when matrix products are taken in lower precision, for the models that come with gnnspin.

    python scripts/benchmarks/reduced_precision.py [NAME ...]

Uncorrelated spins; root mean squares per component, in units of the hopping, beside the torque itself. Products of
bfloat16 and float16 numbers, sums in float32 (`ForceField.products_in`).
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

import gnnspin as gs

SYSTEMS = {
    "tetrahedral": gs.systems.triangular(24, 24),
    "tetrahedral_fast": gs.systems.triangular(24, 24),
    "triangular_120": gs.systems.triangular(24, 24),
    "skyrmion_triangular": gs.systems.triangular(24, 24),
    "kondo_square_random": gs.systems.square(24, 24),
    "double_exchange_square": gs.systems.square(24, 24),
    "amorphous_sd": gs.systems.amorphous(500, box=8.55, min_distance=0.5, seed=0),
    "amorphous_sd_fast": gs.systems.amorphous(500, box=8.55, min_distance=0.5, seed=0),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(SYSTEMS), help="pretrained models")
    print("| model | torque | bfloat16 | float16 |\n|---|---|---|---|")
    for name in parser.parse_args().names:
        system = SYSTEMS[name]
        spins = gs.core.random_spins(system.n_sites, seed=0)
        force_field = gs.load(f"pretrained:{name}", system).native(False)
        exact = torque(force_field, spins)
        changes = [
            rms(torque(force_field.products_in(dtype), spins) - exact) for dtype in (torch.bfloat16, torch.float16)
        ]
        print(
            f"| `{name}` | {rms(exact):.4f} | " + " | ".join(f"{change:.2g}" for change in changes) + " |", flush=True
        )


def torque(force_field: gs.ForceField, spins: Tensor) -> Tensor:
    """Torque (N, 3)."""
    return torch.linalg.cross(spins, force_field.field(spins).to(spins))


def rms(values: Tensor) -> float:
    """Root mean square of all components."""
    return float(values.square().mean().sqrt())


if __name__ == "__main__":
    main()
