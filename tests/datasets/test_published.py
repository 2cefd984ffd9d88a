"""Published sets, read in the package's conventions; skipped where the files are not at hand."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, StoreError
from gnnspin.datasets import Label, published
from gnnspin.graphs import radius_graph


def read(name):
    try:
        return published.load(name)
    except StoreError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("name", published.available())
def test_shapes_units_and_norms(name):
    labels = read(name)
    assert len(labels) >= 2
    stacked = labels.stacked()
    n_sites = labels.systems[0].n_sites
    assert stacked.spins.shape == stacked.field.shape == (len(labels), n_sites, 3)
    assert stacked.spins.dtype == stacked.field.dtype == torch.float64
    assert (stacked.spins.square().sum(-1) - 1).abs().max() < 1e-14
    last = labels[-1]
    assert isinstance(last, Label)
    assert torch.equal(last.field, stacked.field[-1])
    assert labels.subset([len(labels) - 1])[0].provenance == last.provenance
    assert last.provenance["hamiltonian"]["J"] > 0
    if stacked.density is not None:
        assert (stacked.density.sum(1) - stacked.n_electrons).abs().max() < 0.02
        assert (stacked.density >= 0).all()
        assert (stacked.density <= 2).all()


def test_the_first_index_is_x_and_only_y_is_periodic():
    """The stored mean of S_i.S_j over a site's neighbours fits the lattice only if (y, x) became (x, y)."""
    labels = read("driven_wall_negf")
    system = labels.systems[0]
    assert system.lattice_shape == (32, 24, 1)
    assert system.pbc == (False, True, False)
    j, i = radius_graph(system, 1.0).edge_index
    for name, label in zip(("c0", "c500"), labels, strict=True):
        with np.load(published.data_directory() / "driven_wall_negf" / f"{name}.npz") as archive:
            stored = torch.from_numpy(archive["neighbor_correlation"].T.reshape(-1).copy())
        dots = (label.spins[i] * label.spins[j]).sum(-1)
        mean = torch.zeros(768, dtype=torch.float64).index_add_(0, i, dots) / torch.bincount(i, minlength=768)
        assert (mean - stored).abs().max() < 1e-6  # the stored spins are unit vectors to this accuracy


def test_known_numbers_of_the_random_set():
    labels = read("kondo_square_random")
    assert abs(labels.stacked().torque.square().mean().sqrt() - 0.082) < 5e-4
    assert labels[0].energy == labels[0].internal_energy
    assert labels[0].n_electrons == 864
    assert labels[0].mu is None


def test_missing_folders_files_and_names_are_clear(tmp_path, monkeypatch):
    monkeypatch.setenv("GNNSPIN_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(StoreError, match="set GNNSPIN_DATA"):
        published.load("kondo_square_random")
    with pytest.raises(StoreError, match=r"train\.npz does not exist"):
        published.load("kondo_square_random", tmp_path)
    for name in ("kondo", "kondo_square", "double_exchange_square"):
        with pytest.raises(InvalidInput, match="known: kondo_square_random"):
            published.load(name, tmp_path)
    folder = tmp_path / "kondo_square_random"
    folder.mkdir()
    (folder / "train.npz").write_bytes(b"broken")
    with pytest.raises(StoreError, match="damaged"):
        published.load("kondo_square_random", tmp_path)
    np.savez(folder / "train.npz", spins=np.zeros((1, 2, 2, 3)))
    with pytest.raises(StoreError, match="no array 'energy'"):
        published.load("kondo_square_random", tmp_path)
