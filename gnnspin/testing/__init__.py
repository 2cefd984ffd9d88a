"""Physics suites: laws that any model, source, hopping rule or integrator obeys, to be inherited by tests.

They run under pytest, also in a package of your own::

    from gnnspin.testing import ModelPhysics

    class TestMyModel(ModelPhysics):
        name = "my_model"
        hyperparameters = {"channels": 4}
"""

import pytest

pytest.register_assert_rewrite(
    *(f"gnnspin.testing.{name}" for name in ("models", "sources", "hopping_rules", "integrators"))
)

from gnnspin.testing.devices import SimulatedGPU, Synchronization  # noqa: E402
from gnnspin.testing.hopping_rules import HoppingPhysics  # noqa: E402
from gnnspin.testing.integrators import IntegratorPhysics  # noqa: E402
from gnnspin.testing.models import ModelPhysics, assert_paths_agree, close, force_field  # noqa: E402
from gnnspin.testing.sources import SourcePhysics, gradient_error  # noqa: E402

__all__ = [
    "HoppingPhysics",
    "IntegratorPhysics",
    "ModelPhysics",
    "SimulatedGPU",
    "SourcePhysics",
    "Synchronization",
    "assert_paths_agree",
    "close",
    "force_field",
    "gradient_error",
]
