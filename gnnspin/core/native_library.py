"""Shared libraries of native kernels: compiled for this machine at first use, kept in the user's cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from gnnspin.core.errors import GnnspinError

_HEADERS = Path(__file__).parent
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
_REAL = {torch.float32: "float", torch.float64: "double"}


class NoCompiler(GnnspinError):
    """No native library can be built here; whoever asked goes on without."""


def native_allowed() -> bool:
    """Whether native kernels may be used: unless the environment says ``GNNSPIN_NATIVE=0``."""
    return os.environ.get("GNNSPIN_NATIVE", "1") != "0"


class NativeLibrary:
    """The functions of one C++ source of this package, built for one precision and length of block.

    The library is compiled for the instruction set of this machine, in some seconds, and kept under
    ``$XDG_CACHE_HOME/gnnspin`` (``~/.cache/gnnspin``) under a name made of the source, the flags, the compiler and the
    instruction set.

    Parameters
    ----------
    source : Path
        The source; headers stand beside it, and those that all kernels share beside this module.
    dtype : torch.dtype
        float32 or float64.
    registers : int
        Vector registers of a block, 2 or 3.

    Raises
    ------
    NoCompiler
        If there is no C++ compiler, it fails, or no kernel exists in this precision.
    """

    def __init__(self, source: Path, dtype: torch.dtype, registers: int = 2) -> None:
        if dtype not in _REAL:
            raise NoCompiler(f"native kernels exist in float32 and float64, not in {dtype}")
        self._library = _library(source, f"-DREAL={_REAL[dtype]}", f"-DREGISTERS={registers}")
        self.block_length = int(self._library.block_length())

    def __getattr__(self, name: str) -> ctypes._NamedFuncPointer:
        return getattr(self._library, name)


@functools.cache
def _compiler() -> tuple[str, ...]:
    given = os.environ.get("CXX")
    found = shlex.split(given) if given else [name for name in ("c++", "g++", "clang++") if shutil.which(name)][:1]
    if not found:
        raise NoCompiler("there is no C++ compiler: install g++, or set CXX")
    return tuple(found)


def registers(length: int, dtype: torch.dtype) -> int:
    """Vector registers of a block, 2 or 3, that leave the fewest lanes empty on rows of `length` sites."""
    cost = {3: 1.0, 2: 1.05}  # of a lane: short blocks load the weights more often
    return min(cost, key=lambda n: cost[n] * -(-length // (n * lanes(dtype))) * n)


@functools.cache
def lanes(dtype: torch.dtype) -> int:
    """Numbers of this precision in a vector register of the machine."""
    size = 64 if b"__AVX512F__" in _target() else 32 if b"__AVX__" in _target() else 16
    return size // dtype.itemsize


@functools.cache
def _target() -> bytes:
    """Macros that the compiler defines for this machine: its version and the instruction set."""
    command = [*_compiler(), "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    return _run(command)


@functools.cache
def _library(source: Path, *definitions: str) -> ctypes.CDLL:
    headers = [*sorted(source.parent.glob("*.hpp")), *sorted(_HEADERS.glob("*.hpp"))]
    parts = [path.read_bytes() for path in (source, *headers)]
    key = hashlib.sha256(b"\0".join([*parts, _target(), " ".join((*_compiler(), *_FLAGS, *definitions)).encode()]))
    path = _cache() / f"{source.stem}-{key.hexdigest()[:24]}.so"
    if not path.is_file():
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            built = Path(folder) / path.name
            command = [*_compiler(), *_FLAGS, *definitions, f"-I{_HEADERS}", "-o", str(built), str(source)]
            try:
                _run([*command, "-fopenmp"])
            except NoCompiler:
                _run(command)  # without OpenMP the pragmas are comments, and the kernel has one thread
            os.replace(built, path)
    return ctypes.CDLL(str(path))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "gnnspin"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoCompiler(f"cannot make {folder}: {error}") from error
    return folder


def _run(command: list[str]) -> bytes:
    try:
        return subprocess.run(command, check=True, capture_output=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        text = getattr(error, "stderr", b"") or b""
        raise NoCompiler(f"{shlex.join(command)} failed: {error}\n{text.decode(errors='replace')[-2000:]}") from error
