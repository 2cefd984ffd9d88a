"""Known systems as ready configurations; imported at first use."""

from typing import TYPE_CHECKING

from gnnspin.core.lazy import lazy_names
from gnnspin.studies.table import STUDIES

if TYPE_CHECKING:
    from gnnspin.studies.engine import reproduce
    from gnnspin.studies.study import QuenchConfig, Study

__all__ = ["STUDIES", "QuenchConfig", "Study", "reproduce"]

_HOMES = {
    "QuenchConfig": "gnnspin.studies.study",
    "Study": "gnnspin.studies.study",
    "reproduce": "gnnspin.studies.engine",
}

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
