"""From a Hamiltonian to a force field that is right where its simulations go, in rounds."""

from gnnspin.learning.config import Budget, IntendedRun, LearnConfig, TrajectoryTarget
from gnnspin.learning.engine import learn
from gnnspin.learning.report import Learned
from gnnspin.learning.rounds import RoundResult

__all__ = ["Budget", "IntendedRun", "LearnConfig", "Learned", "RoundResult", "TrajectoryTarget", "learn"]
