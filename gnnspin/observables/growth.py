"""Growth laws L(t) of coarsening: fits over replicas with honest errors, and the law that the data prefer.

All laws are fitted by least squares in ``ln L`` of the mean over replicas, so that every decade of time counts alike
and their residuals can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number
from gnnspin.observables.resampling import independent_points, replica_means, residual_blocks
from gnnspin.systems.system import FloatArray

Law = Literal["power", "linear", "square_root", "logarithmic", "stretched_log"]

#: Relative rounding of times that are sums of many steps.
_ROUNDING = 1e-9

#: Gauss-Newton steps of a fit, which from its start needs about five.
_STEPS = 40


@dataclass(frozen=True)
class GrowthLaw:
    """A law with two parameters: ``A g(t)^n`` where `scales`, else ``L0 + A g(t)``."""

    formula: str
    clock: Callable[[FloatArray], FloatArray]
    scales: bool
    earliest: float = 0.0


LAWS: dict[str, GrowthLaw] = {
    "power": GrowthLaw("A t^n", lambda t: t, scales=True),
    "linear": GrowthLaw("L0 + A t", lambda t: t, scales=False),
    "square_root": GrowthLaw("L0 + A sqrt(t)", np.sqrt, scales=False),
    "logarithmic": GrowthLaw("L0 + A ln t", np.log, scales=False),
    "stretched_log": GrowthLaw("A (ln t)^n", np.log, scales=True, earliest=1.0),
}


@dataclass(frozen=True)
class Estimate:
    """A fitted number.

    Attributes
    ----------
    value : float
    error : float
        Standard error.
    low, high : float
        Ends of the 95 % confidence interval, ``value -+ t error`` with Student's t for the independent parts of the
        data (replicas, or blocks of time) less one.
    """

    value: float
    error: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4g} +- {self.error:.2g} (95 %: {self.low:.4g} .. {self.high:.4g})"


@dataclass(frozen=True, eq=False)
class GrowthFit:
    """A growth law fitted to L(t).

    Attributes
    ----------
    law : str
    amplitude : Estimate
        A of the law's formula.
    exponent : Estimate or None
        n of ``A t^n`` and of ``A (ln t)^n``; the glass's barrier exponent psi is ``1 / n`` of the latter.
    offset : Estimate or None
        L0 of the other laws.
    window : (float, float)
        First and last time of the fit.
    resampling : {"replicas", "blocks"}
        What the bootstrap draws: whole replicas, which are independent, or, with one replica, blocks of residuals
        longer than their correlation. The latter knows nothing of how another run would differ.
    n_independent : int
        Number of replicas or of blocks.
    residual : float
        Root mean square of ``ln L - ln law``.
    aic : float
        Akaike's ``n ln(residual^2) + 2 k``, n the independent points (see `compare_growth_laws`), k = 2 parameters.
    """

    law: str
    amplitude: Estimate
    exponent: Estimate | None
    offset: Estimate | None
    window: tuple[float, float]
    resampling: Literal["replicas", "blocks"]
    n_independent: int
    residual: float
    aic: float

    def curve(self, times: Tensor | ArrayLike) -> FloatArray:
        """The law at `times` (T,)."""
        law = LAWS[self.law]
        second = self.exponent if law.scales else self.offset
        assert second is not None
        return _evaluated(law, np.array([self.amplitude.value, second.value]), np.asarray(times, dtype=np.float64))

    def __str__(self) -> str:
        named = {"A": self.amplitude, "n": self.exponent, "L0": self.offset}
        values = ", ".join(f"{name} = {estimate}" for name, estimate in named.items() if estimate is not None)
        return f"{LAWS[self.law].formula}: {values}; {self.n_independent} {self.resampling}"


@dataclass(frozen=True, eq=False)
class GrowthComparison:
    """Growth laws fitted to the same data.

    Attributes
    ----------
    fits : dict of str to GrowthFit
        The preferred law first.
    support : dict of str to float
        Share of the bootstrap samples in which each law has the smallest residual. All laws have two parameters, so
        that this is the share in which its AIC is the smallest.
    """

    fits: dict[str, GrowthFit]
    support: dict[str, float]

    @property
    def preferred(self) -> str:
        """Name of the law with the smallest AIC."""
        return next(iter(self.fits))

    def __str__(self) -> str:
        best = self.fits[self.preferred].aic
        return "\n".join(
            f"{name:14} AIC +{fit.aic - best:.1f}, preferred in {100 * self.support[name]:.0f} % of the samples; {fit}"
            for name, fit in self.fits.items()
        )


def fit_growth(
    times: Tensor | ArrayLike,
    lengths: Tensor | ArrayLike,
    law: Law = "power",
    window: tuple[float, float] | None = None,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> GrowthFit:
    """Fit a growth law to the lengths of one or several replicas.

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t).
    lengths : (T,) or (R, T)
        L(t) of each replica, positive.
    law : {"power", "linear", "square_root", "logarithmic", "stretched_log"}
        ``A t^n``, ``L0 + A t``, ``L0 + A sqrt(t)``, ``L0 + A ln t``, ``A (ln t)^n``.
    window : (float, float), optional
        First and last time of the fit; default: all positive times (those after 1 for ``stretched_log``).
    n_bootstrap : int
        Bootstrap samples.
    seed : int
        The result is a function of the arguments.

    Returns
    -------
    GrowthFit
        Times of one replica are strongly correlated and replicas are not: errors come from a bootstrap over replicas
        (Efron and Tibshirani, An Introduction to the Bootstrap, 1993), corrected for their number; with one replica
        from blocks of residuals.

    Raises
    ------
    InvalidInput
        If shapes differ, the law is unknown, the window holds fewer than four times, or a length in it is not positive
        and finite.

    Examples
    --------
    >>> import numpy as np
    >>> times = np.geomspace(1, 1000, 30)
    >>> noise = np.random.default_rng(0).normal(0, 0.05, (8, 30))
    >>> fit = fit_growth(times, 2 * times**0.5 * np.exp(noise))
    >>> fit.exponent.low < 0.5 < fit.exponent.high
    True
    """
    return compare_growth_laws(times, lengths, (law,), window, n_bootstrap=n_bootstrap, seed=seed).fits[law]


def compare_growth_laws(
    times: Tensor | ArrayLike,
    lengths: Tensor | ArrayLike,
    laws: Sequence[Law] = ("power", "linear", "square_root", "logarithmic", "stretched_log"),
    window: tuple[float, float] | None = None,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> GrowthComparison:
    """Fit several growth laws to the same times and say which the data prefer.

    The AIC counts independent points: the number of times over the correlation time of the replicas' deviations from
    their mean (of the residuals of the best law, with one replica).

    Parameters and errors are those of `fit_growth`; the default window starts after t = 1 where ``stretched_log`` is
    among the laws.
    """
    for law in laws:
        if law not in LAWS:
            raise InvalidInput(f"growth law {law!r} is unknown; known: {', '.join(LAWS)}")
    if not laws or n_bootstrap < 2:
        raise InvalidInput(f"laws={tuple(laws)} must name a law, and n_bootstrap={n_bootstrap} be at least 2")
    t, data = _in_window(times, lengths, window, max(LAWS[law].earliest for law in laws))
    rng = np.random.default_rng(seed_number(seed))
    mean = np.log(data.mean(0))
    fitted = {law: _fitted(LAWS[law], t, mean[None])[0] for law in laws}
    deviations = {law: mean - np.log(_evaluated(LAWS[law], fitted[law], t)) for law in laws}
    best = min(laws, key=lambda law: float(np.square(deviations[law]).sum()))
    points = independent_points(np.log(data / data.mean(0)) if len(data) > 1 else deviations[best][None])
    if len(data) > 1:
        samples, independent = np.log(replica_means(data, n_bootstrap, rng)), len(data)
    else:
        drawn, independent = residual_blocks(deviations[best], points, n_bootstrap, rng)
        samples = mean - deviations[best] + drawn
    resampled = {law: _fitted(LAWS[law], t, samples) for law in laws}
    fits = {
        law: _result(law, fitted[law], resampled[law], deviations[law], t, independent, points, len(data) > 1)
        for law in laws
    }
    errors = np.stack(
        [np.square(samples - np.log(_evaluated(LAWS[law], resampled[law], t))).sum(1) for law in laws], axis=1
    )
    wins = np.bincount(errors.argmin(1), minlength=len(laws)) / n_bootstrap
    ranked = sorted(fits, key=lambda law: fits[law].aic)
    return GrowthComparison(
        {law: fits[law] for law in ranked}, {law: float(wins[list(laws).index(law)]) for law in ranked}
    )


def inside_window(times: FloatArray, window: tuple[float, float] | None) -> NDArray[np.bool_]:
    """Which times lie in a window, its ends included, also where times are sums of steps and rounded."""
    if window is None:
        return np.ones(len(times), dtype=bool)
    slack = _ROUNDING * np.abs(times).max(initial=0.0)
    return np.asarray((times >= window[0] - slack) & (times <= window[1] + slack))


def _in_window(
    times: Tensor | ArrayLike, lengths: Tensor | ArrayLike, window: tuple[float, float] | None, earliest: float
) -> tuple[FloatArray, FloatArray]:
    """Times (T,) and lengths (R, T) inside the window."""
    t, data = (np.asarray(each, dtype=np.float64) for each in (times, lengths))
    data = np.atleast_2d(data)
    if t.ndim != 1 or data.ndim != 2 or data.shape[1] != len(t) or not len(data):
        raise InvalidInput(f"times have shape {t.shape} and lengths {data.shape}; expected (T,) and (R, T) or (T,)")
    inside = inside_window(t, window) & (t > earliest)
    t, data = t[inside], data[:, inside]
    if len(t) < 4 or len(np.unique(t)) < 3:
        raise InvalidInput(f"window={window} holds {len(t)} times after {earliest:g}; a fit needs four or more")
    wrong = ~(np.isfinite(data) & (data > 0)).all(0)
    if wrong.any():
        raise InvalidInput(
            f"the value at time {t[wrong][0]:g} is {data[:, wrong][:, 0].tolist()}, not positive and finite; give a "
            "window without it"
        )
    return t, data


def _evaluated(law: GrowthLaw, parameters: FloatArray, times: FloatArray) -> FloatArray:
    """Law (..., T) of parameters (..., 2): amplitude, then exponent or offset."""
    amplitude, second = parameters[..., :1], parameters[..., 1:]
    clock = law.clock(times)
    return amplitude * clock**second if law.scales else np.maximum(second + amplitude * clock, 1e-300)


def _fitted(law: GrowthLaw, times: FloatArray, log_lengths: FloatArray) -> FloatArray:
    """Parameters (B, 2) that minimise ``sum (ln L - ln law)^2`` for B curves (B, T)."""
    clock = law.clock(times)
    if law.scales:
        slope, intercept = _line(np.log(clock), log_lengths, np.ones_like(log_lengths))
        return np.stack([np.exp(intercept), slope], axis=-1)
    lengths = np.exp(log_lengths)
    amplitude, offset = _line(clock, lengths, lengths**-2)
    flat = (offset[:, None] + amplitude[:, None] * clock).min(1) <= 0
    amplitude[flat], offset[flat] = 0.0, lengths[flat].mean(1)
    for _ in range(_STEPS):  # Gauss-Newton in ln L; steps are shortened so that the law stays positive
        value = offset[:, None] + amplitude[:, None] * clock
        change, shift = _line(clock, (log_lengths - np.log(value)) * value, value**-2)
        slower = (shift[:, None] + change[:, None] * clock) / value
        scale = np.minimum(1.0, 0.9 / np.maximum(-slower.min(1), 1e-300))
        amplitude, offset = amplitude + scale * change, offset + scale * shift
    return np.stack([amplitude, offset], axis=-1)


def _line(x: FloatArray, y: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Slopes and intercepts (B,) of weighted straight lines through y (B, T) at x (T,)."""
    total = weights.sum(1)
    centre, height = (weights @ x) / total, (weights * y).sum(1) / total
    away = x - centre[:, None]
    slope = (weights * away * (y - height[:, None])).sum(1) / (weights * away**2).sum(1)
    return slope, height - slope * centre


def _result(
    law: str,
    fitted: FloatArray,
    resampled: FloatArray,
    deviation: FloatArray,
    times: FloatArray,
    independent: int,
    points: float,
    over_replicas: bool,
) -> GrowthFit:
    # the spread of resampled means is that of the mean times sqrt((n - 1) / n)
    error = resampled.std(0, ddof=1) * np.sqrt(independent / (independent - 1))
    reach = float(stdtrit(independent - 1, 0.975))
    first, second = (
        Estimate(float(v), float(e), float(v - reach * e), float(v + reach * e))
        for v, e in zip(fitted, error, strict=True)
    )
    square = max(float(np.square(deviation).mean()), 1e-300)
    scales = LAWS[law].scales
    return GrowthFit(
        law=law,
        amplitude=first,
        exponent=second if scales else None,
        offset=None if scales else second,
        window=(float(times[0]), float(times[-1])),
        resampling="replicas" if over_replicas else "blocks",
        n_independent=independent,
        residual=float(np.sqrt(square)),
        aic=float(points * np.log(square) + 2 * 2),
    )
