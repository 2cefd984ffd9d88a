"""Native kernels: energies and fields of a model in one pass over the sites, compiled for this machine."""

from gnnspin.core.native_library import NativeLibrary, NoCompiler, native_allowed
from gnnspin.models.native.cluster import NativeCluster
from gnnspin.models.native.oriented import NativeOriented

__all__ = ["NativeCluster", "NativeLibrary", "NativeOriented", "NoCompiler", "native_allowed"]
