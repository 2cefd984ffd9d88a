"""Pictures one after another in one file: GIF through Pillow, MP4 through ffmpeg; one picture in memory at a time."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.runs import replaced

#: A picture (height, width, 3) of uint8.
Picture: TypeAlias = NDArray[np.uint8]

#: Receives the pictures in their order.
Sink: TypeAlias = Callable[[Picture], None]

#: Frames per second: a GIF counts hundredths of a second, and viewers slow down those shorter than two.
_FASTEST = {".gif": 50.0, ".mp4": 240.0}

#: Number of colours up to which the table that spans them best is found in milliseconds.
_FEW_COLORS = 8192

#: Distance of the pixels that a table of many colours is made from: ten times as fast, the error grows by a tenth.
_SAMPLED = 4

_LOOP_FOREVER = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, b"\x3b"

#: Flag and mask of the size of a colour table.
_TABLE, _TABLE_SIZE = 0x80, 0x07


def require_writable(path: Path, fps: float) -> None:
    """Check that a movie of this name and rate can be written.

    Raises
    ------
    InvalidInput
        If the ending is unknown, the rate out of range, or an MP4 wanted without ffmpeg.
    """
    if path.suffix not in _FASTEST:
        raise InvalidInput(f"{path.name}: choose a name that ends in .gif or .mp4")
    if not 0.1 <= fps <= _FASTEST[path.suffix]:
        raise InvalidInput(
            f"fps={fps:g} must lie between 0.1 and {_FASTEST[path.suffix]:g} for {path.suffix[1:]} files"
        )
    if path.suffix == ".mp4" and shutil.which("ffmpeg") is None:
        raise InvalidInput(
            f"{path.name}: MP4 files are written by ffmpeg, which is not on the PATH; install it (apt install ffmpeg, "
            "conda install ffmpeg), or choose a name that ends in .gif"
        )


@contextmanager
def video(path: Path, fps: float) -> Iterator[Sink]:
    """Write pictures of one size to `path`, whole or not at all, in the format of its suffix, ``.gif`` or ``.mp4``.

    Yields
    ------
    callable
        Takes the next picture (height, width, 3) of uint8.

    Raises
    ------
    StoreError
        If ffmpeg fails; with its last words.
    """
    with replaced(path) as temporary:
        if path.suffix == ".gif":
            with temporary.open("wb") as file, _gif(file, fps) as sink:
                yield sink
        else:
            with _mp4(temporary, fps) as sink:
                yield sink


@contextmanager
def _gif(file: BinaryIO, fps: float) -> Iterator[Sink]:
    """GIF89a, one image block per picture, each with the 256 colours that suit it best; repeated for ever."""
    count = 0

    def add(picture: Picture) -> None:
        nonlocal count
        if count == 0:
            height, width = picture.shape[:2]
            file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0) + _LOOP_FOREVER)
        delay = round(100 * (count + 1) / fps) - round(100 * count / fps)
        file.write(struct.pack("<BBBBHBB", _EXTENSION, 0xF9, 4, 0, delay, 0, 0) + _image_block(picture))
        count += 1

    yield add
    file.write(_TRAILER)


def _image_block(picture: Picture) -> bytes:
    """Image descriptor, colour table and compressed pixels: those of the file that Pillow makes of one picture."""
    buffer = io.BytesIO()
    image = _in_256_colors(picture)
    image.save(buffer, "GIF", optimize=False)
    data = buffer.getvalue()
    flags = data[10]
    table = data[13 : 13 + _table_bytes(flags)]
    start = 13 + len(table)
    while data[start] == _EXTENSION:
        start += 2
        while data[start]:
            start += data[start] + 1
        start += 1
    descriptor, rest = data[start : start + 10], data[start + 10 : -1]
    if descriptor[0] != _IMAGE:
        raise StoreError("Pillow wrote a GIF of an unknown structure; use an MP4, or another version of Pillow")
    if descriptor[9] & _TABLE:
        return descriptor + rest
    return descriptor[:9] + bytes([descriptor[9] | _TABLE | flags & _TABLE_SIZE]) + table + rest


def _in_256_colors(picture: Picture) -> Image.Image:
    """The picture in the 256 colours that span those of its pixels best; where they are many, of some pixels."""
    full = Image.fromarray(np.ascontiguousarray(picture))
    if full.getcolors(_FEW_COLORS) is not None:
        return full.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    some = Image.fromarray(np.ascontiguousarray(picture[::_SAMPLED, ::_SAMPLED]))
    table = some.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return full.quantize(palette=table, dither=Image.Dither.NONE)


def _table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & _TABLE_SIZE) + 1) if flags & _TABLE else 0


@contextmanager
def _mp4(path: Path, fps: float) -> Iterator[Sink]:
    """H.264 where ffmpeg has it, else MPEG-4, from raw pictures through a pipe; ffmpeg ends with the block."""
    process: subprocess.Popen[bytes] | None = None
    with tempfile.TemporaryFile() as log:

        def add(picture: Picture) -> None:
            nonlocal process
            height, width = (n // 2 * 2 for n in picture.shape[:2])
            if process is None:
                command = _ffmpeg_command(path, fps, width, height)
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log)
            assert process.stdin is not None
            try:
                process.stdin.write(np.ascontiguousarray(picture[:height, :width]).tobytes())
            except BrokenPipeError:
                process.wait()
                raise StoreError(f"ffmpeg failed: {_last_words(log)}") from None

        try:
            yield add
        except BaseException:
            if process is not None:
                process.kill()
                process.communicate()
            raise
        if process is not None:
            process.communicate()
            if process.returncode:
                raise StoreError(f"ffmpeg failed: {_last_words(log)}")


def _ffmpeg_command(path: Path, fps: float, width: int, height: int) -> list[str]:
    """Arguments: even numbers of pixels and yuv420p, which every player knows."""
    program = shutil.which("ffmpeg") or "ffmpeg"
    encoders = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, check=False).stdout
    codec = ["libx264", "-crf", "18"] if b"libx264" in encoders else ["mpeg4", "-q:v", "2"]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-"]
    target = ["-an", "-c:v", *codec, "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4", str(path)]
    return [program, "-hide_banner", "-loglevel", "error", "-y", *source, *target]


def _last_words(log: BinaryIO | Any) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
