"""Errors a user can act on: every message names the offending value and the remedy."""

from __future__ import annotations


class GnnspinError(Exception):
    """Base class of every error this package raises on purpose."""


class InvalidInput(GnnspinError, ValueError):
    """An argument has the wrong shape, range or meaning."""


class NoEnergyError(GnnspinError, TypeError):
    """An energy was asked of a field source that has none (a driven one, say)."""


class StoreError(GnnspinError, OSError):
    """A file is missing, damaged, foreign or would be overwritten."""


class ConvergenceError(GnnspinError, ArithmeticError):
    """An iteration did not reach its tolerance."""


class SimulationError(GnnspinError, ArithmeticError):
    """A trajectory left the unit sphere or became NaN; the message names step and site."""


class SymmetryWarning(UserWarning):
    """A model imposes a symmetry that the Hamiltonian of its labels lacks."""


class ExtrapolationWarning(UserWarning):
    """A parameter of a Hamiltonian is outside of the range that a family of models was made for."""


class UntrustedField(UserWarning):
    """A learned field is far from the exact one, or says of itself that it may be."""
