"""How local the torque is: the error no model of a given cutoff can avoid, and the decay of responses.

A model of cutoff R predicts the torque on a spin from the spins within R. Its mean square error is at least the
conditional variance ``E[Var(T_i | spins within R of i)]``, whatever the architecture and the amount of data. Here that
variance is measured: spins outside the ball are drawn again, the exact torque at the centre is computed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from gnnspin.analysis.field_response import response
from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.dynamics.job import SourceConfig
from gnnspin.labels.ensembles import Ensemble, EnsembleConfig, build_ensemble
from gnnspin.labels.plan import derived_seed
from gnnspin.runs import Progress, interruptible, owned, read_json, require_same_run, write_json
from gnnspin.systems.config import SystemConfig
from gnnspin.systems.distances import LENGTH_TOLERANCE, distances_from
from gnnspin.systems.system import FloatArray, SpinSystem

RESULT_FILE = "locality.json"

#: Sites whose distances differ by less than this part of the closest distance belong together, on a lattice and
#: elsewhere.
_LATTICE_BIN, _DISORDERED_BIN = 1e-3, 0.5


class LocalityConfig(Config):
    """Configuration of `gnnspin analyze locality`."""

    system: SystemConfig | None = Field(default=None, description="lattice or packing; not with an ensemble of labels")
    source: SourceConfig = Field(description="a hamiltonian with its solver, or a learned model")
    ensemble: EnsembleConfig = Field(description="where the spin configurations come from")
    radii: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        min_length=1, description="cutoffs, in lattice spacings", examples=[[3.0, 5.0, 8.0]]
    )
    centers: int = Field(default=8, ge=1, description="sites of every configuration whose torque is looked at")
    resamples: int = Field(default=1, ge=1, description="redrawn surroundings for each centre and radius")
    responses: int = Field(default=1, ge=0, description="sites of every configuration whose dT_i/dS_j is computed")
    seed: int = Field(default=0, ge=0, description="fixes everything random")

    @model_validator(mode="after")
    def _one_system(self) -> LocalityConfig:
        if (self.system is None) is not (self.ensemble.kind == "labels"):
            raise ValueError("give a system, unless the ensemble is of labels, which have their own")
        return self


@dataclass(frozen=True)
class Locality:
    """Measured locality of a torque, per Cartesian component, in units of the hopping.

    Attributes
    ----------
    radii : list of K floats
    floor : list of K floats
        Root of the mean conditional variance of a torque component given the spins within each radius: no model of
        that cutoff has a smaller torque RMSE.
    floor_error : list of K floats
        Standard errors of `floor`, from the spread between centres.
    typical : list of K floats
        Root of the median of the conditional variance over centres. Far below `floor` where a few centres decide: at
        low temperature and fixed electron number distant spins can move mu past a level localised near the centre.
    signal : float
        Root mean square of a torque component over all sites.
    n_centers : int
        Centres the averages run over.
    distances, response : lists of B floats
        Distances r and the root mean square of ``|dT_i/dS_j|`` (Frobenius norm, spins turned on the sphere) over pairs
        at r.
    """

    radii: list[float]
    floor: list[float]
    floor_error: list[float]
    typical: list[float]
    signal: float
    n_centers: int
    distances: list[float]
    response: list[float]

    def __str__(self) -> str:
        lines = [f"torque rms per component {self.signal:.5f}; {self.n_centers} centres", "radius  irreducible RMSE"]
        for radius, floor, error, typical in zip(self.radii, self.floor, self.floor_error, self.typical, strict=True):
            best = 1 - (floor / self.signal) ** 2
            lines.append(f"{radius:6.2f}  {floor:.5f} +- {error:.5f}  (largest R2 {best:.4f}), typical {typical:.5f}")
        return "\n".join(lines)


@independent_of_modes
def conditional_variance(
    source: FieldSource,
    spins: Tensor,
    site: int,
    surroundings: Sequence[Tensor],
    radius: float,
    *,
    known: Tensor | None = None,
) -> float:
    """Unbiased estimate of the variance of a torque component at `site` given the spins within `radius` of it.

    Parameters
    ----------
    source : FieldSource
    spins : (N, 3)
        One configuration.
    site : int
    surroundings : sequence of (N, 3)
        Configurations whose spins replace those farther away than `radius`: with `spins` itself, independent draws from
        the same conditional distribution.
    radius : float
    known : (N, 3), optional
        Torques of `spins`, where they have been computed before.

    Returns
    -------
    float
        Mean over the three components of the sample variance (divisor: number of surroundings).

    Raises
    ------
    InvalidInput
        If no site is farther away than `radius`.
    """
    outside = torch.from_numpy(distances_from(source.system, site) > radius * (1 + LENGTH_TOLERANCE))
    if not bool(outside.any()):
        raise InvalidInput(f"radius={radius} covers the whole system; take a larger system or a smaller radius")
    torques = [(source.torque(spins) if known is None else known)[site]]
    torques += [source.torque(torch.where(outside[:, None], other, spins))[site] for other in surroundings]
    return float(torch.stack(torques).var(0).mean())


def analyze_locality(
    config: LocalityConfig, output: str | Path, *, resume: bool = False, progress: bool = True
) -> Locality:
    """Measure locality; the folder `output` holds ``locality.json``, complete after every configuration.

    For independent spins, and for noise about an order, the redrawn surroundings follow the true conditional
    distribution (given also the order, its direction and the strength of the noise). For an ensemble of labels the
    surroundings come from another configuration of the set, at the same sites. That is a true conditional only where
    spins inside and outside the radius are independent; where they are correlated the surroundings do not fit, walls
    appear at the radius, and the figure is an estimate for a model that must work for any surroundings, usually above
    the floor on the ensemble itself.

    Parameters
    ----------
    config : LocalityConfig
    output : path
        Folder; new, or with `resume` that of an interrupted run of the same configuration.
    resume : bool
    progress : bool
        Show a progress bar.

    Raises
    ------
    InvalidInput
        If the ensemble is too small or a radius covers the system.
    StoreError
        If `output` holds results and `resume` is false, or those of another configuration.
    KeyboardInterrupt
        On Ctrl-C; the finished configurations are in `output`.
    """
    path = Path(output) / RESULT_FILE
    records = _records(path, config, resume)
    ensemble = build_ensemble(config.ensemble, config.system, config.seed)
    source = config.source.build(ensemble.system)
    _check_radii(config, ensemble.system)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = Work(config, source, ensemble)
    done = len(records)
    with (
        owned(path.parent, "analysis of locality"),
        interruptible() as interrupt,
        Progress("locality", ensemble.count * work.steps, done=done * work.steps, unit="steps", show=progress) as bar,
    ):
        for index in range(done, ensemble.count):
            for step in work.configuration(index):
                bar.advance()
                if step is not None:
                    records.append(step)
                    _write(path, config, records)
                interrupt.raise_if_requested()
    return _summary(config, records)


Record = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """The solves of one configuration after another."""

    config: LocalityConfig
    source: FieldSource
    ensemble: Ensemble

    @property
    def steps(self) -> int:
        """Progress steps of a configuration."""
        return self.config.centers * len(self.config.radii) + self.config.responses + 2

    def configuration(self, index: int) -> Iterator[Record | None]:
        """Do one configuration; yields None after every step, its record after the last."""
        config, n_sites = self.config, self.ensemble.system.n_sites
        spins = self.ensemble.draw(index)
        torques = self.source.torque(spins)
        yield None
        chosen = np.random.default_rng(derived_seed(config.seed, 2, index)).permutation(n_sites)
        variances: list[list[float]] = []
        for site in chosen[: config.centers].tolist():
            variances.append([])
            for k, radius in enumerate(config.radii):
                others = [self.ensemble.redraw(index, (site, k, r)) for r in range(config.resamples)]
                variances[-1].append(conditional_variance(self.source, spins, site, others, radius, known=torques))
                yield None
        responses: list[list[float]] = []
        for site in chosen[: config.responses].tolist():
            responses += _binned(self.ensemble.system, site, response(self.source, spins, site))
            yield None
        yield {"signal": float(torques.square().mean()), "variances": variances, "responses": responses}


def _binned(system: SpinSystem, site: int, values: Tensor) -> list[list[float]]:
    """Rows [distance, sum of squares, number] of the responses (N,) of one site to all others."""
    width = system.spacing * (_DISORDERED_BIN if system.lattice_shape is None else _LATTICE_BIN)
    numbers = np.round(distances_from(system, site) / width).astype(np.int64)
    squares = values.square().cpu().numpy()
    others = np.arange(system.n_sites) != site
    bins, inverse = np.unique(numbers[others], return_inverse=True)
    sums, counts = np.bincount(inverse, squares[others]), np.bincount(inverse)
    return [[float(b * width), float(s), float(c)] for b, s, c in zip(bins, sums, counts, strict=True)]


def _summary(config: LocalityConfig, records: list[Record]) -> Locality:
    variances = np.concatenate([record["variances"] for record in records])
    floor = np.sqrt(variances.mean(0))
    spread = variances.std(0, ddof=1) / np.sqrt(len(variances)) if len(variances) > 1 else np.full(len(floor), np.nan)
    bins: dict[float, FloatArray] = {}
    for distance, square, number in (row for record in records for row in record["responses"]):
        bins[distance] = bins.get(distance, np.zeros(2)) + np.array([square, number])
    distances = sorted(bins)
    return Locality(
        radii=list(config.radii),
        floor=floor.tolist(),
        floor_error=(spread / np.maximum(2 * floor, 1e-300)).tolist(),
        typical=np.sqrt(np.median(variances, axis=0)).tolist(),
        signal=float(np.sqrt(np.mean([record["signal"] for record in records]))),
        n_centers=len(variances),
        distances=distances,
        response=[float(np.sqrt(bins[d][0] / bins[d][1])) for d in distances],
    )


def _check_radii(config: LocalityConfig, system: SpinSystem) -> None:
    """Refuse a radius that covers the system from any site, before anything is solved."""
    reach = min(float(distances_from(system, site).max()) for site in range(system.n_basis))
    if max(config.radii) * (1 + LENGTH_TOLERANCE) >= reach:
        raise InvalidInput(f"radius {max(config.radii)} covers all of {system}; take a larger system or smaller radii")
    if config.centers > system.n_sites or config.responses > system.n_sites:
        raise InvalidInput(f"centers={config.centers}, responses={config.responses}: only {system.n_sites} sites")


def _records(path: Path, config: LocalityConfig, resume: bool) -> list[Record]:
    """Records of the finished configurations of an interrupted run."""
    if not path.exists():
        return []
    if not resume:
        raise StoreError(f"{path} exists; choose another output, or resume to go on with an interrupted run")
    stored = read_json(path)
    require_same_run(config, stored.get("config", {}), where=path, kind="analysis of locality")
    return list(stored["records"])


def _write(path: Path, config: LocalityConfig, records: list[Record]) -> None:
    """Replace the file in one step."""
    content = {
        "config": config.model_dump(mode="json"),
        "result": asdict(_summary(config, records)),
        "records": records,
    }
    write_json(path, content)
