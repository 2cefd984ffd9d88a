"""Descriptors of a site's magnetic environment: invariants of bonds and chiralities."""

from gnnspin.descriptors.base import Descriptor

__all__ = ["Descriptor"]
