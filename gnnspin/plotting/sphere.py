"""A colour for every direction of a spin, and the legend that shows which."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.spins import as_spins
from gnnspin.plotting import style
from gnnspin.systems.system import FloatArray

#: Lightness in the plane, its change towards the poles, and chroma in the plane, in Oklab: an ellipsoid inside sRGB.
LIGHTNESS, CONTRAST, CHROMA = 0.65, 0.28, 0.09

#: From Oklab to the cube roots of cone responses, and from cone responses to linear sRGB (Ottosson 2020).
_CONES = np.array(
    [
        [1.0, 0.3963377774, 0.2158037573],
        [1.0, -0.1055613458, -0.0638541728],
        [1.0, -0.0894841775, -1.2914855480],
    ]
)
_LINEAR = np.array(
    [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
)

_PIXELS = 161


def spin_colors(spins: Tensor | ArrayLike) -> FloatArray:
    """Colour of each spin: its azimuth is the hue, its z component the lightness.

    The colour space Oklab has axes of lightness L, green to red a, and blue to yellow b, in which equal distances look
    about equally different. A spin becomes the point ``L = 0.65 + 0.28 S_z, a = -0.09 S_y, b = 0.09 S_x``: the sphere
    becomes an ellipsoid, the hue turns evenly and once around the equator, at the same lightness, and nothing is cut
    off at the borders of sRGB. +z is the lightest colour and -z the darkest, both grey; +x is yellow, +y green, -x
    blue, -y red.

    A reader without one kind of cone, or a print in grey, sees fewer than three axes, and no continuous map of a
    sphere to a plane is one to one (Borsuk and Ulam). Here it is the red-green axis that is lost to most colour-blind
    readers, and with it the sign of S_y alone: S_z (lightness) and S_x (blue against yellow) stay. In grey S_z stays.

    Parameters
    ----------
    spins : (..., 3)
        Unit vectors.

    Returns
    -------
    (..., 3) array
        Red, green and blue in [0, 1], sRGB.

    Raises
    ------
    InvalidInput
        If a spin is no unit vector.

    Notes
    -----
    Sources: B. Ottosson, A perceptual color space for image processing (2020),
    https://bottosson.github.io/posts/oklab/; transfer function of sRGB: IEC 61966-2-1.

    Examples
    --------
    >>> up, down = spin_colors([[0, 0, 1], [0, 0, -1]])
    >>> bool((up > 0.85).all()), bool((down < 0.3).all())
    (True, True)
    """
    s = style.as_array(spins)
    as_spins(s.reshape(-1, 3) if s.shape[-1:] == (3,) else s)
    return to_srgb(oklab_of_spins(s))


def oklab_of_spins(spins: FloatArray) -> FloatArray:
    """Coordinates (..., 3) in Oklab, (L, a, b), of spins (..., 3): linear in the spin."""
    x, y, z = np.moveaxis(spins, -1, 0)
    return np.stack([LIGHTNESS + CONTRAST * z, -CHROMA * y, CHROMA * x], axis=-1)


def to_srgb(lab: FloatArray) -> FloatArray:
    """SRGB (..., 3) in [0, 1] of coordinates (..., 3) in Oklab; cut off where sRGB ends."""
    linear = np.clip((lab @ _CONES.T) ** 3 @ _LINEAR.T, 0.0, 1.0)
    curved = 1.055 * linear ** (1 / 2.4) - 0.055
    return np.asarray(np.where(linear <= 0.0031308, 12.92 * linear, curved), dtype=np.float64)


def sphere_legend(axes: Axes, *, inset: tuple[float, float, float, float] = (1.04, 0.62, 0.36, 0.36)) -> Axes:
    """Add the legend of `spin_colors`: the whole sphere as a disc, +z in its middle and -z at its rim.

    The distance from the middle is the polar angle (azimuthal equidistant projection); the equator is the thin circle.

    Parameters
    ----------
    axes : Axes
        The map it belongs to.
    inset : (x, y, width, height)
        Place of the legend in units of the axes; default: to the right of the map.

    Returns
    -------
    Axes
        Of the legend.
    """
    legend = axes.inset_axes(inset)
    line = np.linspace(-1.0, 1.0, _PIXELS)
    x, y = np.meshgrid(line, line)
    radius = np.hypot(x, y)
    polar, azimuth = np.pi * np.minimum(radius, 1.0), np.arctan2(y, x)
    spins = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=-1)
    picture = np.concatenate([spin_colors(spins), (radius <= 1.0)[..., None]], axis=-1)
    legend.imshow(picture, origin="lower", extent=(-1, 1, -1, 1), interpolation="bilinear")
    angle = np.linspace(0.0, 2 * np.pi, 100)
    legend.plot(np.cos(angle) / 2, np.sin(angle) / 2, color="black", linewidth=0.4)
    texts = {"$+z$": (0.0, 0.0), "$x$": (0.72, 0.0), "$y$": (0.0, 0.72)}
    for text, place in texts.items():
        legend.text(*place, text, ha="center", va="center", fontsize=7)
    legend.text(0.0, -1.06, r"rim: $-z$", ha="center", va="top", fontsize=7)
    legend.set(xlim=(-1.02, 1.02), ylim=(-1.02, 1.02), aspect="equal")
    legend.axis("off")
    return legend
