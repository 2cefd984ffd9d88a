"""Known systems as ready configurations of one engine; imported at first use."""

from typing import TYPE_CHECKING

from gnnspin.core.lazy import lazy_names
from gnnspin.studies.table import SIZES, STUDIES, study_file

if TYPE_CHECKING:
    from gnnspin.studies.engine import reproduce
    from gnnspin.studies.study import Study, read_study

__all__ = ["SIZES", "STUDIES", "Study", "read_study", "reproduce", "study_file"]

_HOMES = {
    "Study": "gnnspin.studies.study",
    "read_study": "gnnspin.studies.study",
    "reproduce": "gnnspin.studies.engine",
}

__getattr__ = lazy_names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
