"""What every descriptor of a site's magnetic environment is: frozen geometry, then invariants of the spins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from gnnspin.graphs import GraphSpec
from gnnspin.systems import SpinSystem


class Descriptor(nn.Module, ABC):
    """Features of every site that no symmetry operation of the model changes.

    Attributes
    ----------
    spec : GraphSpec
        The graph it is made for; its cutoff is the descriptor's.
    """

    def __init__(self, spec: GraphSpec) -> None:
        super().__init__()
        self.spec = spec

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number F of features, known before any system is seen."""

    @abstractmethod
    def prepare(self, system: SpinSystem) -> Any:
        """Freeze the geometry of `system`: pairs, triplets, geometric factors; has ``.to(device, dtype)``."""

    @abstractmethod
    def forward(self, data: Any, spins: Tensor) -> Tensor:
        """Features (R, N, F) of spins (R, N, 3); differentiable."""
