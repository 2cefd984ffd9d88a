"""Movies: a picture per frame, of one size, with the right times; written whole or not at all."""

import itertools
import os
import shutil
import signal
import stat
import sys

import numpy as np
import pytest
from PIL import Image

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError
from gnnspin.plotting import movie
from gnnspin.plotting.video import video
from gnnspin.trajectories import Trajectory

#: Size of a test's pictures.
SMALL = {"dpi": 40, "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short quench of two replicas: frames at steps 0, 2, ..., 12."""
    system = gs.systems.triangular(6, 6)
    path = tmp_path_factory.mktemp("run") / "run.h5"
    gs.dynamics.simulate(
        gs.classical.Heisenberg(system),
        gs.core.random_spins(36, replicas=(2,), seed=0),
        dt=0.1,
        n_steps=12,
        damping=0.3,
        save_every=2,
        trajectory=path,
    )
    return path


def pictures(path):
    """All pictures of a GIF and their durations in milliseconds."""
    with Image.open(path) as file:
        found, durations = [], []
        for k in range(file.n_frames):
            file.seek(k)
            found.append(np.asarray(file.convert("RGB")).astype(int))
            durations.append(file.info["duration"])
        assert file.info["loop"] == 0
    return found, durations


@pytest.mark.parametrize("what", ["spins", "scalar_chirality", "bond_order", "topological_charge"])
def test_every_frame_has_its_picture(run, tmp_path, what):
    path = movie(run, tmp_path / "new" / "quench.gif", what=what, fps=12, **SMALL)
    found, durations = pictures(path)
    with Trajectory(run) as stored:
        assert len(found) == len(stored) == 7
    assert len({each.shape for each in found}) == 1
    assert all((first != second).any() for first, second in itertools.pairwise(found))
    assert sum(durations) == pytest.approx(7 / 12 * 1000, abs=10)
    assert [each.name for each in path.parent.iterdir()] == ["quench.gif"]


def test_equal_frames_stay_frames_and_choices_are_kept(run, tmp_path):
    """A GIF has one image per chosen frame even where they are equal; frames, replicas and forms differ."""
    found, _ = pictures(movie(run, tmp_path / "a.gif", frames=[3, 3, -1], **SMALL))
    assert len(found) == 3
    assert (found[0] == found[1]).all()
    assert (found[1] != found[2]).any()
    other, _ = pictures(movie(run, tmp_path / "b.gif", frames=[3], replica=1, **SMALL))
    assert (other[0] != found[0]).any()
    colors, _ = pictures(movie(run, tmp_path / "c.gif", frames=slice(0, None, 3), form="colors", **SMALL))
    assert len(colors) == 3


def test_a_gif_holds_the_pictures_it_was_given(tmp_path):
    rng = np.random.default_rng(0)
    given = [rng.choice([0, 90, 255], size=(31, 47, 3)).astype(np.uint8) for _ in range(3)]
    with video(tmp_path / "x.gif", 10.0) as add:
        for each in given:
            add(each)
    found, durations = pictures(tmp_path / "x.gif")
    assert all((a == b).all() for a, b in zip(given, found, strict=True))
    assert durations == [100, 100, 100]


def test_many_colors_are_met_closely(tmp_path):
    """A smooth picture of 60,000 colours in 256 of its own: within 8 of 255 in the mean."""
    x, y = np.meshgrid(np.arange(256), np.arange(240))
    given = np.stack([x, y, 255 - x], axis=-1).astype(np.uint8)
    with video(tmp_path / "x.gif", 10.0) as add:
        add(given)
    [found], _ = pictures(tmp_path / "x.gif")
    assert np.abs(found - given.astype(int)).mean() < 8


def test_what_cannot_be_written_is_refused_first(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    for name, options, message in [
        ("x.avi", {}, "ends in .gif or .mp4"),
        ("x.mp4", {}, "ffmpeg, which is not on the PATH"),
        ("x.gif", {"fps": 100}, "fps=100"),
        ("x.gif", {"what": "torque"}, "what='torque'"),
        ("x.gif", {"replica": 2}, "replica=2"),
        ("x.gif", {"frames": [7]}, "7 frames"),
        ("x.gif", {"frames": slice(9, None)}, "none of the 7"),
        ("x.gif", {"dpi": 1}, "dpi=1"),
    ]:
        with pytest.raises(InvalidInput, match=message):
            movie(run, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_the_old_movie(run, tmp_path, monkeypatch):
    path = tmp_path / "x.gif"
    path.write_bytes(b"old")
    read, count = Trajectory.__getitem__, []

    def interrupted(self, index):
        count.append(index)
        if len(count) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return read(self, index)

    monkeypatch.setattr(Trajectory, "__getitem__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        movie(run, path, **SMALL)
    assert len(count) == 5
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["x.gif"]


def program(folder, text):
    """An ffmpeg of our own on the PATH."""
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable}\nimport sys\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_ffmpeg_gets_every_picture(run, tmp_path, monkeypatch):
    """Even numbers of pixels, three bytes each, seven frames; its failure is an error with its last words."""
    tools, out = tmp_path / "tools", tmp_path / "out"
    tools.mkdir()
    monkeypatch.setenv("PATH", str(tools))
    copy = "if '-encoders' not in sys.argv: open(sys.argv[-1], 'wb').write(repr(sys.argv[1:]).encode() + b'|' + "
    program(tools, copy + "sys.stdin.buffer.read())")
    arguments, raw = movie(run, out / "x.mp4", **SMALL).read_bytes().split(b"|", 1)
    words = eval(arguments)
    width, height = (int(n) for n in words[words.index("-s") + 1].split("x"))
    assert width % 2 == height % 2 == 0
    assert len(raw) == 7 * 3 * width * height
    assert words[words.index("-r") + 1] == "12"
    program(tools, "if '-encoders' not in sys.argv: sys.stderr.write('first\\nno such codec\\n'); sys.exit(1)")
    with pytest.raises(StoreError, match="no such codec"):
        movie(run, out / "y.mp4", **SMALL)
    assert [each.name for each in out.iterdir()] == ["x.mp4"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_mp4(run, tmp_path):
    assert movie(run, tmp_path / "x.mp4", **SMALL).read_bytes()[4:8] == b"ftyp"
