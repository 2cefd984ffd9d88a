"""Models on a system as field sources: force fields, their files, the pretrained ones, committees."""

from gnnspin.force_fields.committee import Committee
from gnnspin.force_fields.exported import export_compiled
from gnnspin.force_fields.files import load, read_header, save
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.model_file import ModelFile
from gnnspin.force_fields.pretrained import model_card, pretrained

__all__ = [
    "Committee",
    "ForceField",
    "ModelFile",
    "export_compiled",
    "load",
    "model_card",
    "pretrained",
    "read_header",
    "save",
]
