"""A force field on one system as a compiled package, which runs without the code of its model."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import whole_at_least
from gnnspin.force_fields.evaluation import sum_over_graphs
from gnnspin.force_fields.force_field import ForceField
from gnnspin.runs.files import replaced


class _Evaluation(nn.Module):
    """Energies and fields of spins (R, N, 3) as a module of operations without a gradient to be taken."""

    def __init__(self, evaluation: nn.Module) -> None:
        super().__init__()
        self.evaluation = evaluation

    def forward(self, spins: Tensor) -> tuple[Tensor, ...]:
        """Energies (R, n_graphs), where the model has some, and fields (R, N, 3)."""
        return tuple(self.evaluation(spins))


@independent_of_modes
def export_compiled(force_field: ForceField, path: str | Path, *, replicas: int = 1) -> Path:
    """Write energies and fields of a force field on its system to an AOTInductor package (``.pt2``), atomically.

    The package holds machine code for the device and precision of the force field, and its weights. It runs without
    gnnspin, in Python by ``torch._inductor.aoti_load_package(path)`` and in C++ by ``AOTIModelPackageLoader`` of
    libtorch: spins (replicas, N, 3) give energies (replicas, n_graphs), float64, and fields (replicas, N, 3); a model
    without an energy gives the fields alone. Compilation takes one to some minutes and a C++ compiler.

    Parameters
    ----------
    force_field : ForceField
        Not in tiles, of an architecture that goes through `torch.compile`.
    path : path
        Ends in ``.pt2``; replaced if it exists.
    replicas : int
        Number of spin configurations in one call.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInput
        If the architecture does not compile, the force field is in tiles, or the path does not end in ``.pt2``.
    """
    path, replicas = Path(path), whole_at_least(replicas, 1, "replicas")
    if path.suffix != ".pt2":
        raise InvalidInput(f"path={path}: a compiled package ends in .pt2")
    if not force_field.model.compiles:
        raise InvalidInput(
            f"{force_field.model.name} does not go through torch.compile; save the model by gnnspin.save"
        )
    if force_field.specification()["max_sites"] is not None:
        raise InvalidInput("a force field in tiles cannot be exported; export it without tile()")
    model, data, system = copy.deepcopy(force_field.model), force_field.data, force_field.system

    def evaluated(spins: Tensor) -> tuple[Tensor, ...]:
        site, fields = model.energies_and_fields(data, spins)
        return (fields,) if site is None else (sum_over_graphs(system, site), fields)

    spins = torch.zeros(replicas, system.n_sites, 3, dtype=force_field.dtype, device=force_field.device)
    spins[..., 2] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations within torch
        exported = torch.export.export(_Evaluation(make_fx(evaluated)(spins)), (spins,))
        with replaced(path) as temporary:
            package = temporary.with_suffix(".pt2")
            torch._inductor.aoti_compile_and_package(exported, package_path=str(package))
            package.replace(temporary)
    return path
