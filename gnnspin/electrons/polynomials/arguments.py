"""Checks of the arguments of the kernel polynomial method."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number, whole_at_least


def check_arguments(
    n_moments: int | Sequence[int] | None,
    tolerance: float | None,
    kernel: str,
    probes: str,
    n_colors: int | None,
    seed: int,
    product: str,
    dtype: torch.dtype,
) -> None:
    """Raise InvalidInput on arguments that contradict each other or are out of range."""
    if kernel not in ("none", "jackson"):
        raise InvalidInput(f"kernel={kernel!r} must be 'none' or 'jackson'")
    if probes not in ("deterministic", "colored", "random"):
        raise InvalidInput(f"probes={probes!r} must be 'deterministic', 'colored' or 'random'")
    if (probes == "deterministic") != (n_colors is None):
        raise InvalidInput(
            f"probes={probes!r} with n_colors={n_colors}: 'colored' and 'random' probes need n_colors, others take none"
        )
    if n_colors is not None:
        whole_at_least(n_colors, 1, "n_colors")
    counts = np.atleast_1d(np.array([] if n_moments is None else n_moments, dtype=np.float64))
    if (counts < 4).any() or (counts != counts.round()).any():
        raise InvalidInput(f"n_moments={n_moments} must be an integer of at least 4")
    if n_moments is not None and tolerance is not None:
        raise InvalidInput(
            f"n_moments={n_moments} and tolerance={tolerance} both fix the length of the series; give one"
        )
    if n_moments is None and kernel == "jackson":
        raise InvalidInput("kernel='jackson' converges too slowly for a tolerance; give n_moments")
    seed_number(seed)
    if product not in ("sparse", "stencil"):
        raise InvalidInput(f"product={product!r} must be 'sparse' or 'stencil'")
    if dtype not in (torch.float64, torch.float32):
        raise InvalidInput(f"dtype={dtype} must be torch.float64 or torch.float32")
