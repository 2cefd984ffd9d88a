"""Sections of a report: tables in Markdown, and those of motions and curls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from gnnspin.analysis.curl import CurlAgreement
from gnnspin.observables.growth import Estimate
from gnnspin.studies.motions import MotionConfig, Movement


def section(title: str, text: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A heading with a table; nothing where the table is empty."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    if not lines:
        return []
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [f"## {title}", text, "\n".join([*head, *lines])]


def with_error(mean: float, error: float) -> str:
    """A mean with its standard error, where there is one."""
    return f"{mean:.4g}" + (f" ± {error:.1g}" if error == error else "")


def curl_sections(curls: Mapping[str, Mapping[str, CurlAgreement]]) -> list[str]:
    """Curls of the models against the exact ones, a section for each name."""
    text: list[str] = []
    columns = ("model", "R2 of the curl", "R2 of the symmetric part", "antisymmetric part")
    for name, found in curls.items():
        rows = [
            (model, f"{each.curl_r2:.3f}", f"{each.gradient_r2:.3f}", f"{100 * each.model_share:.2g} %")
            for model, each in found.items()
        ]
        one = next(iter(found.values()), None)
        if one is None:
            continue
        note = (
            "Derivatives of the fields of the sites with the largest torques by their spins. Exactly, "
            f"{100 * one.exact_share:.2g} % of the squares are antisymmetric, a curl, and {100 * one.of_a_pair:.3g} % "
            "of the curl's squares can be those of one pair (E, G)."
        )
        text += section(f"Curl: {name.replace('_', ' ')}", note, columns, rows)
    return text


def motion_sections(configs: Mapping[str, MotionConfig], motions: Mapping[str, Sequence[Movement]]) -> list[str]:
    """Motions against a parameter, a section for each name."""
    text: list[str] = []
    for name, found in motions.items():
        rows = [_motion_row(each) for each in found]
        kept = [k for k in range(len(_MOTION)) if any(row[k] for row in rows)]
        columns = [_MOTION[k] if k != 1 else configs[name].parameter for k in kept]
        note = (
            "Slopes of the positions with standard errors; angles in degrees. Differences to the reference are of "
            "replicas that started alike and have the same noise, over the same times, relative to its velocity."
        )
        chosen = [[row[k] for k in kept] for row in rows]
        text += section(f"Motion: {name.replace('_', ' ')}", note, columns, chosen)
    return text


#: Columns of the table of motions; those without entries are left out.
_MOTION = (
    "curve", "parameter", "run", "times", "way", "velocity", "difference", "Thiele: velocity", "Hall angle",
    "Thiele: angle", "radius",
)  # fmt: skip


def _motion_row(each: Movement) -> tuple[str, ...]:
    hall, theory, difference = each.hall_angle, each.thiele, each.difference
    degrees = None if hall is None else (np.degrees(hall.value), np.degrees(hall.error))
    return (
        each.curve,
        f"{each.parameter:g}",
        each.run,
        f"{each.window[0]:g} to {each.window[1]:g}",
        f"{each.travel:.3g}",
        with_error(each.velocity.value, each.velocity.error),
        "" if difference is None else _relative(difference, each.reference),
        "" if theory is None else f"{theory.speed:.4g}",
        "" if degrees is None else with_error(*degrees),
        "" if theory is None else f"{np.degrees(theory.hall_angle):.4g}",
        "" if theory is None else f"{theory.radius:.3g}",
    )


def _relative(difference: Estimate, reference: float) -> str:
    return f"{100 * difference.value / abs(reference):+.1f} ± {100 * difference.error / abs(reference):.1f} %"


def motion_headlines(motions: Mapping[str, Sequence[Movement]]) -> list[str]:
    """Largest deviation from the reference of each curve, or from Thiele's equation."""
    lines = []
    for name, found in motions.items():
        for curve in dict.fromkeys(each.curve for each in found):
            own = [each for each in found if each.curve == curve]
            compared = [each.difference.value / abs(each.reference) for each in own if each.difference is not None]
            if compared:
                lines.append(f"{name}: {curve} moves at most {100 * max(map(abs, compared)):.1f} % off the reference")
        speeds = [abs(each.velocity.value / each.thiele.speed - 1) for each in found if each.thiele is not None]
        angles = [
            abs(np.degrees(each.hall_angle.value - each.thiele.hall_angle))
            for each in found
            if each.thiele is not None and each.hall_angle is not None
        ]
        if speeds:
            lines.append(
                f"{name}: speeds within {100 * max(speeds):.1f} % and Hall angles within {max(angles):.1f} degrees of "
                "Thiele's equation"
            )
    return lines
