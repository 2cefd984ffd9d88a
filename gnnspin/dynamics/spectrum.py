"""Dynamic structure factor S(q, omega), accumulated while a simulation runs.

With ``S_q(t) = N^(-1/2) sum_i S_i(t) exp(-i q.r_i)``,

    S_ab(q, omega) = int dt exp(i omega t) < S_q,a(t) S_q,b(0)^* >,    int d omega / (2 pi) S_ab = < S_q,a S_q,b^* >,

so that its trace integrates to the static `structure_factor` of the same q. A spin precesses as ``dS/dt = S x H``:
``S_x + i S_y`` goes as ``exp(-i B t)`` in a field B along z and shows at ``omega = +B``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.state import State
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True)
class Spectrum:
    """Dynamic structure factor at Q wave vectors.

    Attributes
    ----------
    wave_vectors : (Q, 3) array
    omega : (M,) array
        Angular frequencies in gamma t, ascending from ``-pi / interval``.
    tensor : (Q, M, 3, 3) complex array
        ``S_ab(q, omega)``, Hermitian; average over segments and replicas.
    n_segments : int
        Segments averaged, counted once for all replicas.
    resolution : float
        Spacing of the frequencies; the window widens a line by about 1.5 (Hann).
    """

    wave_vectors: NDArray[np.float64]
    omega: NDArray[np.float64]
    tensor: NDArray[np.complex128]
    n_segments: int
    resolution: float

    @property
    def power(self) -> NDArray[np.float64]:
        """Trace of the tensor (Q, M): what unpolarised scattering sees, up to the polarisation factor."""
        return np.einsum("qmaa->qm", self.tensor).real

    @property
    def static(self) -> NDArray[np.float64]:
        """``int d omega / (2 pi)`` of `power` (Q,): the static structure factor of the same data."""
        return self.power.sum(1) * self.resolution / (2 * np.pi)

    def peaks(self, minimum: float = 0.0) -> NDArray[np.float64]:
        """Frequency (Q,) of the strongest line above `minimum`, refined by a parabola through the logarithms."""
        inside = np.flatnonzero(self.omega > minimum)[:-1]
        found = []
        for power in self.power:
            k = inside[power[inside].argmax()]
            a, b, c = np.log(np.maximum(power[k - 1 : k + 2], 1e-300))
            shift = 0.5 * (a - c) / (a - 2 * b + c) if a + c < 2 * b else 0.0
            found.append(self.omega[k] + shift * self.resolution)
        return np.array(found)


class DynamicStructureFactor:
    """Observer that accumulates S(q, omega): give it to `simulate`, then ask for `result`.

    The spins are projected on the chosen wave vectors at every observation; of the time series only the newest
    `n_samples` are kept: memory is ``n_samples x replicas x Q x 3`` complex numbers, however long the run. Full
    segments are windowed, transformed and averaged (Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967),
    doi:10.1109/TAU.1967.1161901). With window w the estimate of a segment is

        S_ab(q, omega_m) = interval / sum_n w_n^2 * X_a X_b^*,    X = sum_n w_n S_q(t_n) exp(i omega_m t_n),

    whose sum over the frequencies is the w^2-weighted mean of ``S_q,a S_q,b^*``: the sum rule holds to rounding.
    Motion faster than ``pi / interval`` is folded back.

    Parameters
    ----------
    system : SpinSystem
    wave_vectors : (Q, 3) or (3,)
        Cartesian; commensurate with the cell where it is periodic, see `observables.wave_vectors`.
    interval : float
        Time between observations, ``dt * observe_every``.
    n_samples : int
        Samples per segment: the resolution is ``2 pi / (n_samples * interval)``.
    window : str
        Name of a window of `scipy.signal.get_window`; "boxcar" is none.
    overlap : float
        Share of a segment that the next one uses again, 0 <= overlap < 1.

    Raises
    ------
    InvalidInput
        If a shape or range is wrong.

    Notes
    -----
    An observation that does not come `interval` after the last one (after a restart, say) begins a new segment; the
    samples of the broken one are dropped.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.chain(8)
    >>> source = gs.classical.Heisenberg(system) + gs.classical.Zeeman(system, B=[0, 0, 0.5])
    >>> q = gs.observables.wave_vectors(system)[1, 0, 0]
    >>> spectrum = DynamicStructureFactor(system, q, interval=0.2, n_samples=64)
    >>> start = gs.core.random_spins(8, seed=0)
    >>> options = {"dt": 0.1, "n_steps": 200, "damping": 0.0, "observe_every": 2}
    >>> run = gs.dynamics.simulate(source, start, observers=[spectrum], **options)
    >>> spectrum.result().tensor.shape
    (1, 64, 3, 3)
    """

    __name__ = "spectrum_segments"

    def __init__(
        self,
        system: SpinSystem,
        wave_vectors: ArrayLike,
        *,
        interval: float,
        n_samples: int = 512,
        window: str = "hann",
        overlap: float = 0.5,
    ) -> None:
        q = np.atleast_2d(np.asarray(wave_vectors, dtype=np.float64))
        if q.ndim != 2 or q.shape[1] != 3:
            raise InvalidInput(f"wave_vectors have shape {q.shape}; expected (Q, 3)")
        if not (interval > 0 and math.isfinite(interval)) or n_samples < 4 or not 0 <= overlap < 1:
            raise InvalidInput(
                f"interval={interval} must be positive, n_samples={n_samples} >= 4, 0 <= overlap={overlap} < 1"
            )
        self.wave_vectors, self.interval, self.n_samples = q, float(interval), n_samples
        angles = torch.from_numpy(q @ system.positions.T)
        self._phases = torch.polar(torch.ones_like(angles), -angles) / math.sqrt(system.n_sites)
        self._window = torch.from_numpy(scipy.signal.get_window(window, n_samples))
        self._advance = max(1, round(n_samples * (1 - overlap)))
        self._samples: list[Tensor] = []
        self._last_time = math.nan
        self._sum = torch.zeros(len(q), n_samples, 3, 3, dtype=torch.complex128)
        self.n_segments = 0

    def __call__(self, state: State) -> int:
        """Take one sample; returns the number of segments averaged so far."""
        if not abs(state.time - self._last_time - self.interval) < 1e-3 * self.interval:
            self._samples.clear()
        self._last_time = state.time
        self._samples.append(self._amplitudes(state.spins))
        if len(self._samples) == self.n_samples:
            self._add_segment(torch.stack(self._samples))
            del self._samples[: self._advance]
        return self.n_segments

    def _amplitudes(self, spins: Tensor) -> Tensor:
        """S_q (R, Q, 3) on the CPU."""
        flat = spins.detach().reshape(-1, *spins.shape[-2:])
        phases = self._phases.to(flat.device, torch.complex64 if flat.dtype == torch.float32 else torch.complex128)
        self._phases = phases
        return torch.einsum("qn,rnc->rqc", phases, flat.to(phases.dtype)).to("cpu", torch.complex128)

    def _add_segment(self, series: Tensor) -> None:
        """Add the averaged cross-spectra of samples (n, R, Q, 3)."""
        weight = self._window
        transform = torch.fft.ifft(series * weight[:, None, None, None], dim=0, norm="forward")
        scale = self.interval / float(weight.square().sum()) / series.shape[1]
        self._sum += scale * torch.einsum("mrqa,mrqb->qmab", transform, transform.conj())
        self.n_segments += 1

    def result(self) -> Spectrum:
        """The average so far; InvalidInput if no segment is complete."""
        if self.n_segments == 0:
            raise InvalidInput(
                f"no segment of {self.n_samples} samples at intervals of {self.interval} is complete; run longer, or "
                "check that interval = dt * observe_every"
            )
        omega = 2 * np.pi * np.fft.fftshift(np.fft.fftfreq(self.n_samples, self.interval))
        tensor = np.asarray(np.fft.fftshift(self._sum.numpy() / self.n_segments, axes=1), dtype=np.complex128)
        resolution = 2 * np.pi / (self.n_samples * self.interval)
        return Spectrum(self.wave_vectors, omega, tensor, self.n_segments, resolution)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Accumulated sums and samples as named arrays, to be stored; `restore` continues from them."""
        empty = np.zeros((0, 1, len(self.wave_vectors), 3), dtype=complex)
        return {
            "sum": self._sum.numpy(),
            "n_segments": np.array(self.n_segments),
            "samples": torch.stack(self._samples).numpy() if self._samples else empty,
            "last_time": np.array(self._last_time),
        }

    def restore(self, arrays: Any) -> DynamicStructureFactor:
        """Continue from what `arrays` gave; returns itself."""
        if arrays["sum"].shape != tuple(self._sum.shape):
            raise InvalidInput(f"stored spectrum has shape {arrays['sum'].shape}; this one {tuple(self._sum.shape)}")
        self._sum = torch.from_numpy(np.array(arrays["sum"]))
        self.n_segments, self._last_time = int(arrays["n_segments"]), float(arrays["last_time"])
        self._samples = list(torch.from_numpy(np.array(arrays["samples"])))
        return self
