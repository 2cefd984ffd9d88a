"""Spin orders by name or from a file, and random rotations and perturbations of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import seed_number
from gnnspin.core.registry import Registry
from gnnspin.core.spins import as_spins, normalize, random_rotation
from gnnspin.systems.system import SpinSystem

Order = Callable[[SpinSystem], Tensor | ArrayLike]

#: All orders, those of other packages included (entry points of the group ``gnnspin.orders``).
ORDERS: Registry[Order] = Registry("order", "gnnspin.orders")

#: Files that hold an order.
_SUFFIXES = (".npz", ".npy")


def register_order(name: str) -> Callable[[Order], Order]:
    """Decorator that makes an order known by name, in Python and in configuration files.

    The function below it gets a `SpinSystem` and returns unit spins (N, 3); for a system that the order does not fit it
    raises InvalidInput. Another package names such a function as an entry point of the group ``gnnspin.orders``.

    Parameters
    ----------
    name : str

    Raises
    ------
    InvalidInput
        If the name belongs to another order.

    Examples
    --------
    >>> import gnnspin as gs
    >>> @gs.observables.register_order("two-up-two-down")
    ... def two_up_two_down(system):
    ...     return [[0, 0, 1 - 2 * (site // 2 % 2)] for site in range(system.n_sites)]
    >>> gs.observables.reference_order("two-up-two-down", gs.systems.chain(12)).shape
    torch.Size([12, 3])
    """
    return ORDERS.registered(name)


def available_orders(system: SpinSystem | None = None) -> tuple[str, ...]:
    """Names that `reference_order` takes; with a system, those of the orders that fit it."""
    names = ORDERS.names()
    return names if system is None else tuple(name for name in names if _fits(name, system))


def is_order(name: str | Path) -> bool:
    """Whether `name` is that of a known order, or of an existing file that may hold one."""
    return str(name) in ORDERS or (Path(name).suffix in _SUFFIXES and Path(name).is_file())


def order_digest(path: str | Path) -> str:
    """Hash of the bytes of a file that holds an order: two files of one name can differ.

    Raises
    ------
    InvalidInput
        If the file cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:32]
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


@independent_of_modes
def reference_order(name: str | Path, system: SpinSystem) -> Tensor:
    """Spins of a perfect order.

    Parameters
    ----------
    name : str or path
        A registered order:

        ``ferromagnet``: all along z.
        ``neel``: up and down on the two sublattices of a chain, square, honeycomb or cubic lattice.
        ``stripe``: up and down in alternating rows, alternating along the first direction of a lattice.
        ``zigzag``: zigzag chains of the honeycomb lattice, alternately up and down.
        ``120-degree``: three sublattices of the triangular lattice at 120 degrees in the xy plane.
        ``tetrahedral``: four sublattices of the triangular lattice along the corners of a tetrahedron; scalar
        chirality ``+4 / (3 sqrt 3)``, its mirror image is ``-spins``.
        ``q0``, ``sqrt3``: the 120-degree orders of the kagome lattice with three and nine sublattices.
        ``cuboc1``, ``cuboc2``: twelve sublattices of the kagome lattice towards the midpoints of a cube's edges,
        neighbours at 120 degrees and at 60 degrees.
        ``skyrmion``: one skyrmion in a planar ferromagnet, see `skyrmion`.

        Or a file ``.npz`` (its array ``spins``, or its only one) or ``.npy`` with unit spins of one's own: ``(N, 3)``
        in the order of the sites, or ``(p1, p2, p3, n_basis, 3)``, a block of unit cells of a lattice that is repeated.
    system : SpinSystem

    Returns
    -------
    (N, 3) float64 tensor

    Raises
    ------
    InvalidInput
        If the name is unknown, the file cannot be read, or the order does not fit the lattice or its periodic lengths.
    """
    if str(name) in ORDERS:
        spins = torch.as_tensor(np.array(ORDERS[str(name)](system), dtype=np.float64))
        if spins.shape != (system.n_sites, 3):
            raise InvalidInput(f"order {str(name)!r} gave shape {tuple(spins.shape)}; expected ({system.n_sites}, 3)")
        return as_spins(spins, system.n_sites)
    if Path(name).suffix not in _SUFFIXES:
        known = ", ".join(ORDERS.names())
        raise InvalidInput(f"order {str(name)!r} is unknown; known: {known}, or a file of spins (.npz or .npy)")
    return normalize(_from_file(Path(name), system))


def repeated(block: NDArray[np.float64], system: SpinSystem, name: str) -> NDArray[np.float64]:
    """Spins (N, 3) of a block of unit cells (p1, p2, p3, n_basis, 3) that is repeated over a lattice.

    Raises
    ------
    InvalidInput
        If the system is not a lattice, has another number of sites per cell, or periodic lengths that are not
        multiples of the block's.
    """
    shape = system.lattice_shape
    if shape is None:
        raise InvalidInput(f"{name} order is a block of unit cells; this system is not a lattice and has none")
    if block.shape[3] != system.n_basis:
        raise InvalidInput(f"{name} order has {block.shape[3]} sites per unit cell; {system} has {system.n_basis}")
    for k, (length, period) in enumerate(zip(shape, block.shape[:3], strict=True)):
        if system.pbc[k] and length % period:
            raise InvalidInput(
                f"{name} order needs periodic lengths that are multiples of {period}; length {k + 1} is {length}"
            )
    cells = np.ix_(*[np.arange(length) % period for length, period in zip(shape, block.shape[:3], strict=True)])
    return np.asarray(block[cells].reshape(-1, 3), dtype=np.float64)


@independent_of_modes
def perturbed(spins: Tensor, amplitude: float, *, seed: int, rotate: bool = True) -> Tensor:
    """Rotate spins globally at random and add Gaussian noise to each component, then normalise.

    Parameters
    ----------
    spins : (..., N, 3)
        Unit spins.
    amplitude : float
        Standard deviation of the noise per component; 0.1 tilts a spin by about 0.14 rad.
    seed : int
        The result is a function of the arguments.
    rotate : bool
        Whether to rotate all spins by one Haar-random rotation first.

    Raises
    ------
    InvalidInput
        If the amplitude is negative.
    """
    if not amplitude >= 0:
        raise InvalidInput(f"amplitude={amplitude} must not be negative")
    noise_seed, rotation_seed = np.random.SeedSequence(seed_number(seed)).generate_state(2, np.uint64)
    generator = torch.Generator().manual_seed(int(noise_seed))
    noise = torch.randn(spins.shape, generator=generator, dtype=torch.float64).to(spins)
    rotated = spins @ random_rotation(int(rotation_seed)).to(spins).T if rotate else spins
    return normalize(rotated + amplitude * noise)


def _fits(name: str, system: SpinSystem) -> bool:
    try:
        reference_order(name, system)
    except InvalidInput:
        return False
    return True


def _from_file(path: Path, system: SpinSystem) -> Tensor:
    try:
        content = np.load(path, allow_pickle=False)
        names = list(content.files) if isinstance(content, np.lib.npyio.NpzFile) else []
        if names and "spins" not in names and len(names) != 1:
            raise InvalidInput(f"{path} holds the arrays {', '.join(names)}; name that of the spins `spins`")
        stored = np.asarray(content["spins" if "spins" in names else names[0]] if names else content, dtype=np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInput(f"{path} is no readable .npz or .npy file of spins: {error}") from error
    if stored.ndim == 5 and stored.shape[-1] == 3 and stored.size:
        stored = repeated(stored, system, str(path))
    if stored.shape != (system.n_sites, 3):
        raise InvalidInput(
            f"{path} holds spins of shape {stored.shape}; expected ({system.n_sites}, 3), or (p1, p2, p3, n_basis, 3) "
            "for a repeated block of unit cells"
        )
    return as_spins(stored, system.n_sites)
