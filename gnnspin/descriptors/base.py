"""Descriptors of a site's magnetic environment: frozen geometry, then invariants of the spins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.graphs import GraphSpec
from gnnspin.systems import SpinSystem


class DescriptorConfig(Config):
    """Parameters of a descriptor; `build` makes it."""

    descriptor: ClassVar[type[Descriptor]]

    def build(self, spec: GraphSpec) -> Any:
        """The descriptor within the cutoff of `spec`; raises what its class raises."""
        return self.descriptor(spec, self)


class Descriptor(nn.Module, ABC):
    """Features of every site that no symmetry operation of the model changes.

    A class names the configuration it is built from: ``class MyDescriptor(Descriptor, config=MyConfig)``.

    Attributes
    ----------
    spec : GraphSpec
        The graph it is made for; its cutoff is the descriptor's.
    config : DescriptorConfig
    """

    def __init_subclass__(cls, *, config: type[DescriptorConfig] | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if config is not None:
            config.descriptor = cls

    def __init__(self, spec: GraphSpec, config: DescriptorConfig) -> None:
        super().__init__()
        self.spec = spec
        self.config = config

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number F of features, known before any system is seen."""

    @abstractmethod
    def prepare(self, system: SpinSystem) -> Any:
        """Freeze the geometry of `system`: pairs, triplets, geometric factors; see `SpinModel.prepare`."""

    @abstractmethod
    def forward(self, data: Any, spins: Tensor) -> Tensor:
        """Features (R, N, F) of spins (R, N, 3); differentiable."""
