"""Movies of stored runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import normalize
from gnnspin.plotting import style
from gnnspin.plotting.cells import folded_positions
from gnnspin.plotting.maps import finish
from gnnspin.plotting.textures import SPINS, Form, SpinPicture, checked_form, symmetric_limits
from gnnspin.plotting.video import Picture, require_writable, video
from gnnspin.runs import Progress, interruptible
from gnnspin.systems.system import SpinSystem
from gnnspin.trajectories.frames import Frames
from gnnspin.trajectories.trajectory import Trajectory

#: Width of a picture without the colour bar, room around the map, and limits of its height, in inches.
_WIDTH, _ROOM, _HEIGHTS = 3.6, 0.9, (1.6, 7.0)


def movie(
    trajectory: Trajectory | str | Path,
    path: str | Path,
    *,
    what: str = SPINS,
    form: Form = "auto",
    frames: slice | Sequence[int] = slice(None),
    replica: int = 0,
    part: int = 0,
    fps: float = 12.0,
    limits: tuple[float, float] | None = None,
    dpi: int = 120,
    progress: bool = True,
) -> Path:
    """Draw the frames of a stored run of a planar system one after another.

    Frames are read, drawn and written one at a time: memory does not grow with their number. The cells are placed once
    and only their colours change. The file appears when it is whole.

    Parameters
    ----------
    trajectory : Trajectory or path of one
        It may be running.
    path : path
        ``run.gif``, or ``run.mp4`` where ffmpeg is installed. A file of this name is replaced.
    what, form
        As in `spin_map`: the spins themselves, or a scalar made of them.
    frames : slice or sequence of int
        Which frames, e.g. ``slice(None, None, 10)``.
    replica : int
        Which replica, counted row-major over the leading dimensions of the spins.
    part : int
        Which system, when the trajectory is that of a union.
    fps : float
        Frames per second; the delays of a GIF are rounded to hundredths of a second so that the whole is right.
    limits : (low, high), optional
        Of the colours of a scalar, the same for all frames; default as in `spin_map`, those of the last frame.
    dpi : int
        Pixels per inch; a picture is about five inches wide.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidInput
        If the name, the rate, the quantity, the replica, the part or a frame is wrong, the quantity is not defined on
        the system, or an MP4 is wanted without ffmpeg. Nothing is written then.
    StoreError
        If the trajectory cannot be read, or ffmpeg fails.
    KeyboardInterrupt
        On Ctrl-C, after the current frame; nothing is written then.

    Examples
    --------
    >>> movie("run.h5", "quench.gif", what="scalar_chirality", frames=slice(None, None, 5))  # doctest: +SKIP
    """
    path = Path(path)
    require_writable(path, fps)
    if not 20 <= dpi <= 600:
        raise InvalidInput(f"dpi={dpi} must lie between 20 and 600")
    opened = trajectory if isinstance(trajectory, Trajectory) else Trajectory(trajectory)
    try:
        chosen = Frames(opened, replica, part, frames)
        how = checked_form(chosen.system, what, form)
        if what != SPINS and limits is None:
            limits = symmetric_limits(chosen.system, _spins(chosen[-1].spins), what)
        pictures = _pictures(chosen, what, how, limits, dpi)
        first = next(pictures)
        with (
            interruptible() as stop,
            Progress("frames", len(chosen), show=progress) as bar,
            video(path, fps) as add,
        ):
            add(first)
            bar.advance()
            for picture in pictures:
                stop.raise_if_requested()
                add(picture)
                bar.advance()
    finally:
        if opened is not trajectory:
            opened.close()
    return path


def _pictures(frames: Frames, what: str, form: Form, limits: tuple[float, float] | None, dpi: int) -> Iterator[Picture]:
    """Pictures (height, width, 3) of the frames, all of one size."""
    with style.figure(None, *_size(frames.system)) as (drawing, [axes]):
        drawing.set_dpi(dpi)
        canvas = FigureCanvasAgg(drawing)
        picture = SpinPicture(axes, frames.system, what, form, limits)
        picture.add_key(drawing)
        finish([axes], ["$t$ = 0"], "bar")
        drawing.draw_without_rendering()
        drawing.set_layout_engine("none")
        for frame in frames:
            picture.update(_spins(frame.spins))
            axes.set_title(f"$t$ = {frame.time:g}")
            canvas.draw()
            yield np.array(canvas.buffer_rgba())[..., :3]


def _spins(stored: np.ndarray) -> torch.Tensor:
    """Stored spins, of the length one to rounding in float64."""
    return normalize(torch.from_numpy(stored))


def _size(system: SpinSystem) -> tuple[float, float]:
    """Width and height of the figure in inches, for the shape of the system."""
    width, height = np.ptp(folded_positions(system)[0][: system.n_sites], axis=0) + system.spacing
    return _WIDTH + 1.4, float(np.clip(_WIDTH * height / width, *_HEIGHTS)) + _ROOM
