"""The studies by name. What a study needs is imported when the study itself is asked for."""

from __future__ import annotations

from pathlib import Path

from gnnspin.core.errors import InvalidInput

#: How much work a study can be: minutes to half an hour on 2 cores; a night there; the papers' size, for a GPU.
SIZES = ("small", "medium", "large")

#: The studies that come with the package: their systems and physics in one line.
STUDIES = {
    "120-degree": "triangular s-d model at half filling, J = 6: 120-degree order and the growth of its domains",
    "skyrmion-crystal": "triangular s-d model with third neighbours, J = 0.5: skyrmion crystals in a magnetic field",
    "spin-glass": "amorphous s-d model at half filling, J = 6: correlations, slow growth and aging of a metallic glass",
    "double-exchange": "square double-exchange model, J = 6, filling 0.485: ferromagnetic puddles that grow and freeze",
    "current-skyrmion": "a skyrmion of a classical film under the torque of Zhang and Li: Hall angle against Thiele",
    "driven-wall": "square s-d model between leads, J = 3.8: a wall that a voltage drives, learned by every head",
    "tetrahedral": "triangular s-d model near quarter filling, J = 3: growth of the domains of chirality",
}


def study_file(name: str) -> Path:
    """YAML file of a study: a name of `STUDIES`, or a path ending in .yaml or .yml.

    Raises
    ------
    InvalidInput
        If the name is unknown.
    """
    if name in STUDIES:
        return Path(__file__).parent / "definitions" / f"{name}.yaml"
    if Path(name).suffix in (".yaml", ".yml"):
        return Path(name)
    raise InvalidInput(f"unknown study {name!r}; known: {', '.join(STUDIES)}, or a YAML file of one's own")
