"""Networks of torch_geometric as models: they read invariants of the spins, and every symmetry is exact."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
import torch_geometric.nn
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.registry import Registry
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.invariant_graph import InvariantGeometry, InvariantGraph
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

Network = Callable[..., nn.Module]
N = TypeVar("N", bound=Network)

#: Networks that a file or a configuration may name, besides the classes of ``torch_geometric.nn``.
NETWORKS: Registry[Network] = Registry("network", "gnnspin.networks")
_LIBRARY = "torch_geometric.nn."


def register_network(name: str) -> Callable[[N], N]:
    """Decorator: make a network known by a name, for `from_pyg`, configurations and files.

    Parameters
    ----------
    name : str
        A name that no other network has. A package names its module in the entry-point group ``gnnspin.networks``.
    """

    def registered(network: N) -> N:
        NETWORKS.register(name, network)
        return network

    return registered


class InvariantHyperparameters(Config):
    """Invariants that a network reads."""

    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")
    bond_degree: int = Field(default=3, ge=1, description="largest Legendre polynomial of S_i . S_j on an edge")
    angle_degree: int = Field(default=2, ge=0, description="largest Chebyshev polynomial of the cosine of an angle")
    triplet_cutoff: float | None = Field(
        default=1.5, gt=0, description="largest distance of a triplet's two neighbours; null: no triplets"
    )
    layers: int = Field(default=2, ge=1, description="rounds of messages of the network, which set its reach")


class InvariantNetwork(SpinModel):
    """Site energies from a network of `torch_geometric` that reads an `InvariantGraph`.

    A subclass writes `network`. Energies are exactly invariant under rotation of the spins, time reversal, and all
    operations of space, mirrors included; fields follow by automatic differentiation.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : InvariantHyperparameters
    """

    capabilities = frozenset()
    hyperparameters: InvariantHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: InvariantHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        self.invariants = InvariantGraph(spec, h.n_radial, h.bond_degree, h.angle_degree, h.triplet_cutoff)
        self.layers = self.network(self.invariants.node_channels, self.invariants.edge_channels)

    def network(self, node_channels: int, edge_channels: int) -> nn.Module:
        """Module that maps a `Data` to one number per node."""
        raise InvalidInput(f"{type(self).__name__} writes no network(node_channels, edge_channels)")

    @property
    def receptive_radius(self) -> float:
        return self.hyperparameters.layers * self.spec.cutoff + self.invariants.radius

    def prepare(self, system: SpinSystem) -> InvariantGeometry:
        return self.invariants.prepare(system)

    def dimensionless_energies(self, data: InvariantGeometry, spins: Tensor) -> Tensor:
        found = self.layers(self.invariants(data, spins))
        if found.numel() != spins[..., 0].numel():
            raise InvalidInput(
                f"the network gives shape {tuple(found.shape)} for {spins[..., 0].numel()} nodes; one number per node "
                "is needed"
            )
        return found.reshape(spins.shape[:2])

    @torch.no_grad()
    def calibrate(self, data: InvariantGeometry, spins: Tensor) -> None:
        """Measure mean and spread of the invariants on spins (R, N, 3)."""
        self.invariants(data, spins, calibrate=True)


class PyGHyperparameters(InvariantHyperparameters):
    """Hyperparameters of `PyGModel`."""

    network: str = Field(description="name by register_network, or a class such as torch_geometric.nn.GAT")
    arguments: dict[str, Any] = Field(
        default_factory=dict, description='of the network; "node_channels" and "edge_channels" stand for the widths'
    )
    reads: dict[str, str] | None = Field(
        default=None, description="attributes of the graph by argument of the network; null: it takes the graph itself"
    )


@register
class PyGModel(InvariantNetwork):
    """A network by its name; see `from_pyg`."""

    name = "pyg"
    Hyperparameters = PyGHyperparameters
    hyperparameters: PyGHyperparameters

    def network(self, node_channels: int, edge_channels: int) -> nn.Module:
        h = self.hyperparameters
        widths = {"node_channels": node_channels, "edge_channels": edge_channels}
        arguments = {
            name: widths.get(value, value) if isinstance(value, str) else value for name, value in h.arguments.items()
        }
        kind = _network_named(h.network)
        try:
            inspect.signature(kind).bind(**arguments)
        except TypeError as error:
            raise InvalidInput(f"{h.network}: {error}; give it in arguments") from error
        module = kind(**arguments)
        return module if h.reads is None else Reading(module, h.reads)


class Reading(nn.Module):
    """Hands attributes of a graph to a module by name."""

    def __init__(self, module: nn.Module, reads: Mapping[str, str]) -> None:
        super().__init__()
        self.module, self.reads = module, dict(reads)

    def forward(self, data: Any) -> Tensor:
        """Output of the module for the attributes of the graph that it reads."""
        missing = [name for name in self.reads.values() if name not in data]
        if missing:
            raise InvalidInput(f"the graph has no {missing}; it has {sorted(data.keys())}")
        return self.module(**{argument: data[name] for argument, name in self.reads.items()})


def from_pyg(
    network: str | Network,
    spec: GraphSpec,
    *,
    layers: int,
    arguments: Mapping[str, Any] | None = None,
    reads: Mapping[str, str] | None = None,
    **invariants: Any,
) -> SpinModel:
    """A model from a network of `torch_geometric`: saved, loaded, trained, compared and simulated like the others.

    Parameters
    ----------
    network : str, class or function
        A name given by `register_network`, something registered so, or a class of ``torch_geometric.nn``. It is called
        with `arguments` and returns a module.
    spec : GraphSpec
        The graph that the network sees.
    layers : int
        Rounds of messages: how far a site energy reaches.
    arguments : dict, optional
        JSON values; the strings ``"node_channels"`` and ``"edge_channels"`` stand for the widths of ``x`` and
        ``edge_attr``.
    reads : dict, optional
        Attribute of the graph for each argument of the module's forward; default: it takes the graph itself. See
        `gnnspin.models.blocks.invariant_graph.InvariantGraph` for the attributes.
    **invariants
        ``n_radial``, ``bond_degree``, ``angle_degree``, ``triplet_cutoff``; see `InvariantHyperparameters`. With
        ``spec.triplets`` the default of the last is the cutoff.

    Raises
    ------
    InvalidInput
        If the network has no registered name, or lacks an argument.

    Examples
    --------
    >>> import gnnspin as gs
    >>> from torch_geometric.nn import GAT
    >>> system = gs.systems.square(6, 6)
    >>> spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.5)
    >>> model = gs.models.from_pyg(
    ...     GAT, spec, layers=2,
    ...     arguments={"in_channels": "node_channels", "edge_dim": "edge_channels", "hidden_channels": 8,
    ...                "num_layers": 2, "out_channels": 1, "v2": True},
    ...     reads={"x": "x", "edge_index": "edge_index", "edge_attr": "edge_attr"},
    ... )
    >>> gs.ForceField(model, system).field(gs.core.random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """
    if spec.triplets:
        invariants.setdefault("triplet_cutoff", spec.cutoff)
    values = PyGHyperparameters(
        network=_name_of(network),
        layers=layers,
        arguments=dict(arguments or {}),
        reads=None if reads is None else dict(reads),
        **invariants,
    )
    return PyGModel(spec, values)


def _network_named(name: str) -> Network:
    """The network that a name stands for; a name never imports anything but the library's own classes."""
    if name.startswith(_LIBRARY):
        kind = getattr(torch_geometric.nn, name.removeprefix(_LIBRARY), None)
        if inspect.isclass(kind) and issubclass(kind, nn.Module):
            return kind
        raise InvalidInput(f"{name} is no class of torch_geometric.nn; register a network with register_network")
    return NETWORKS[name]


def _name_of(network: str | Network) -> str:
    if isinstance(network, str):
        return network
    if isinstance(network, nn.Module):
        raise InvalidInput(
            f"{type(network).__name__} is an object; give its class and arguments, so that a file can rebuild it"
        )
    own = str(getattr(network, "__name__", network))
    if getattr(torch_geometric.nn, own, None) is network:
        return _LIBRARY + own
    for name in NETWORKS:
        if NETWORKS[name] is network:
            return name
    raise InvalidInput(f"{own} has no name; decorate it with gs.models.register_network(name)")
