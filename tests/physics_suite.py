"""The suite lives in the package; this name goes as soon as nothing imports it."""

from gnnspin.testing.models import EXACT, ORDER, SYSTEMS, ModelPhysics, assert_paths_agree, close, force_field

__all__ = ["EXACT", "ORDER", "SYSTEMS", "ModelPhysics", "assert_paths_agree", "close", "force_field"]
