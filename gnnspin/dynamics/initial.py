"""Initial spins described in a configuration file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins, normalize, random_spins
from gnnspin.observables import BoundaryConfig, perturbed, reference_order
from gnnspin.observables.orders import ORDERS, order_digest
from gnnspin.systems import SpinSystem
from gnnspin.systems.structures import read_spins
from gnnspin.trajectories.trajectory import Trajectory


class InitialConfig(Config):
    """Initial spins: random, an order, or those of a file."""

    kind: str = Field(default="random", description="random, or the name of an order such as 120-degree")
    file: Path | None = Field(
        default=None,
        description="spins of your own: .npz, .npy (N, 3) or (replicas, N, 3), a trajectory .h5, or .xyz with moments",
    )
    boundary: BoundaryConfig | None = Field(
        default=None, description="boundary between two orders of a lattice, in place of kind and file"
    )
    frame: int = Field(default=-1, description="frame of a trajectory or .xyz file; -1: the last")
    amplitude: float = Field(default=0.0, ge=0, description="noise on an order, or on the spins of a file")
    rotate: bool = Field(
        default=True,
        description="turn an order or a boundary by one random rotation of all spins; false where their directions are "
        "tied to space, as by fields and spin-orbit coupling",
    )
    seed: int = Field(default=0, ge=0, description="seed of random spins, and of the noise")
    replicas: int = Field(default=1, ge=1, description="independent copies, integrated together")

    @model_validator(mode="after")
    def _one_start(self) -> InitialConfig:
        if self.file is not None and "kind" in self.model_fields_set and self.kind != "random":
            raise ValueError(f"kind={self.kind} and file={self.file}: give one of them")
        if self.boundary is not None and (self.file is not None or self.kind != "random"):
            raise ValueError("boundary stands in place of kind and file: give one of them")
        return self

    def content(self) -> dict[str, str]:
        """Hash of the file that holds the spins, by the key that names it; empty without one.

        A trajectory may go on growing while one of its frames is a start: it has none.

        Raises
        ------
        InvalidInput
            If the file cannot be read.
        """
        key, path = ("kind", Path(self.kind)) if self.file is None else ("file", self.file)
        named = self.file is not None or (self.kind != "random" and self.kind not in ORDERS)
        return {key: order_digest(path)} if named and path.suffix != ".h5" else {}

    def build(self, system: SpinSystem, dtype: torch.dtype) -> Tensor:
        """Spins (N, 3), or (replicas, N, 3) of several replicas.

        Raises
        ------
        InvalidInput
            If the order is unknown or does not fit, or the file holds other spins than system and replicas need.
        StoreError
            If a trajectory or a structure file cannot be read.
        """
        if self.file is None and self.boundary is None and self.kind == "random":
            replicas = () if self.replicas == 1 else (self.replicas,)
            return random_spins(system.n_sites, replicas=replicas, seed=self.seed, dtype=dtype)
        order = self._order(system) if self.file is None else self._read(self.file, system)
        if order.ndim == 2:
            order = order.expand(self.replicas, *order.shape)
        elif self.replicas not in (1, len(order)):
            raise InvalidInput(
                f"{self.file} holds {len(order)} replicas; initial.replicas={self.replicas} is another number"
            )
        rotate = self.file is None and self.rotate
        if rotate or self.amplitude > 0:
            copies = [perturbed(one, self.amplitude, seed=self.seed + k, rotate=rotate) for k, one in enumerate(order)]
            order = torch.stack(copies)
        return (order[0] if len(order) == 1 else order).to(dtype)

    def _order(self, system: SpinSystem) -> Tensor:
        return reference_order(self.kind, system) if self.boundary is None else self.boundary.build(system)

    def _read(self, path: Path, system: SpinSystem) -> Tensor:
        if path.suffix == ".h5":
            with Trajectory(path) as trajectory:
                last = self.frame == -1
                spins = trajectory.state.spins if last else torch.from_numpy(np.array(trajectory[self.frame]))
        elif path.suffix in (".npz", ".npy"):
            spins = _replicas_in(path, system)
        else:
            spins = read_spins(path, index=self.frame)
        if spins.shape[-2:] != (system.n_sites, 3) or spins.ndim > 3:
            raise InvalidInput(
                f"{path} holds spins of shape {tuple(spins.shape)}; give ({system.n_sites}, 3), or that for each "
                "replica"
            )
        return normalize(as_spins(spins.to(torch.float64)))


def _replicas_in(path: Path, system: SpinSystem) -> Tensor:
    """Spins (R, N, 3) of a file of several replicas; of any other what `reference_order` reads."""
    if path.suffix == ".npy" and path.is_file():
        stored = np.load(path, allow_pickle=False, mmap_mode="r")
        if stored.ndim == 3:
            return torch.from_numpy(np.array(stored, dtype=np.float64))
    if path.suffix == ".npz" and path.is_file():
        with np.load(path, allow_pickle=False) as content:
            names = [name for name in content.files if name == "spins" or len(content.files) == 1]
            if names and content[names[0]].ndim == 3:
                return torch.from_numpy(content[names[0]].astype(np.float64))
    return reference_order(path, system)
