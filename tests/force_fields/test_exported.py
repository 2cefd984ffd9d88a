"""Force fields as compiled packages that run without their model's code."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import gnnspin as gs
from gnnspin.core.errors import InvalidInput
from gnnspin.force_fields import export_compiled


def _small(name="spin_cluster_expansion", **hyperparameters):
    system = gs.systems.square(4, 4)
    return gs.ForceField(gs.models.for_system(name, system, 1.2, **hyperparameters), system)


def test_impossible_exports_are_refused_before_any_work(tmp_path):
    with pytest.raises(InvalidInput, match=r"ends in \.pt2"):
        export_compiled(_small(), tmp_path / "model.bin")
    with pytest.raises(InvalidInput, match="replicas"):
        export_compiled(_small(), tmp_path / "model.pt2", replicas=0)
    with pytest.raises(InvalidInput, match="does not go through"):
        export_compiled(_small("equivariant_tensor_network"), tmp_path / "model.pt2")
    large = gs.load("pretrained:tetrahedral_fast", gs.systems.triangular(60, 60)).tile(900)
    with pytest.raises(InvalidInput, match="tiles"):
        export_compiled(large, tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_package_gives_the_same_without_gnnspin(tmp_path):
    force_field = _small(channels=2, hidden=4, scalars=0, layers=1, max_degree=1)
    spins = torch.stack([torch.as_tensor(gs.core.random_spins(16, seed=k)) for k in range(2)]).float()
    path = export_compiled(force_field, tmp_path / "model.pt2", replicas=2)
    energies, fields = force_field.energies_and_fields(spins)
    torch.save((spins, energies, fields), tmp_path / "expected.pt")
    program = f"""
import sys, torch
spins, energies, fields = torch.load({str(tmp_path / "expected.pt")!r})
found = torch._inductor.aoti_load_package({str(path)!r})(spins)
torch.testing.assert_close(found[0], energies)
torch.testing.assert_close(found[1], fields)
assert "gnnspin" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["expected.pt", "model.pt2"]
