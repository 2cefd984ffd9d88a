"""Known systems as ready configurations."""

from gnnspin.studies.reproduce import STUDIES, reproduce
from gnnspin.studies.study import QuenchConfig, Study

__all__ = ["STUDIES", "QuenchConfig", "Study", "reproduce"]
