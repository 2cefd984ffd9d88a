"""Models on a system as field sources: force fields, their files, the pretrained ones, committees."""

from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.committee import Committee
from gnnspin.force_fields.exported import export_compiled
from gnnspin.force_fields.files import load, read_header, save
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.model_file import ModelFile
from gnnspin.force_fields.pretrained import model_card, pretrained
from gnnspin.force_fields.uncertainty import Coverage, calibrate, coverage

__all__ = [
    "Calibration",
    "Committee",
    "Coverage",
    "ForceField",
    "ModelFile",
    "calibrate",
    "coverage",
    "export_compiled",
    "load",
    "model_card",
    "pretrained",
    "read_header",
    "save",
]
