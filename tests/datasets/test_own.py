"""Labels from arrays and files of one's own; conventions that the numbers disprove are refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import ase.io
import h5py
import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError
from gnnspin.core.config_file import read_config
from gnnspin.datasets import ConventionWarning, LabelStore, from_arrays
from gnnspin.datasets.array_files import read_arrays
from gnnspin.datasets.conventions import Conventions
from gnnspin.datasets.import_config import ImportConfig

SYSTEM = gs.systems.triangular(6, 4)
EXCHANGE = gs.classical.Heisenberg(SYSTEM, J=[1.0, 0.3])


def _quench() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spins, fields and energies of a trajectory whose snapshots are near each other."""
    run = gs.dynamics.simulate(
        EXCHANGE,
        gs.core.random_spins(24, seed=0),
        dt=0.05,
        n_steps=12,
        damping=0.1,
        observers={"spins": lambda state: state.spins.clone()},
        progress=False,
    )
    spins = run.observables["spins"]
    return spins, EXCHANGE.field(spins).numpy(), EXCHANGE.energy(spins).numpy()


SPINS, FIELDS, ENERGIES = _quench()


def _quiet(*arguments: Any, **options: Any) -> gs.datasets.LabelsInMemory:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConventionWarning)
        return from_arrays(SYSTEM, *arguments, **options)


def test_labels_are_the_arrays() -> None:
    labels = _quiet(SPINS, FIELDS, ENERGIES, trajectory="quench", times=np.arange(13) * 0.05)
    np.testing.assert_allclose(labels.stacked().spins, SPINS, atol=1e-15)
    np.testing.assert_array_equal(labels.stacked().field, FIELDS)
    assert labels[3].energy == ENERGIES[3]
    assert labels[3].provenance == {"sampler": {"kind": "import"}, "file": "quench", "step": 3, "time": 0.05 * 3}


def test_torques_give_the_torque_and_nothing_else() -> None:
    labels = _quiet(SPINS, torques=np.cross(SPINS, FIELDS))
    torch.testing.assert_close(labels.stacked().torque, torch.from_numpy(np.cross(SPINS, FIELDS)))
    assert float((labels.stacked().field * labels.stacked().spins).sum(-1).abs().max()) < 1e-12


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fields": -FIELDS}, "field_scale=-1"),
        ({"energies": ENERGIES / 24}, "energies per site: multiply them by 24"),
        ({"fields": 2.5 * FIELDS}, "field_scale=0.4 "),
        ({"spins": 2 * SPINS}, "lengths from 2 to 2"),
        ({"spins": SPINS[:, :20]}, r"shape \(13, 20, 3\); give \(R, 24, 3\)"),
        ({"fields": FIELDS[:5]}, "13 snapshots of spins and 5 of fields"),
        ({"energies": ENERGIES[:5]}, "one finite number for each of the 13"),
        ({"fields": np.where(FIELDS > 2, np.nan, FIELDS)}, "not finite"),
        ({"torques": np.cross(SPINS, FIELDS)}, "either fields or torques"),
        ({"fields": None, "torques": FIELDS}, "part along their spins of"),
        ({"site_order": [0] * 24}, "every site 0 .. 23 once"),
        ({"steps": np.arange(13)}, "trajectory="),
    ],
)
def test_what_is_provably_wrong_is_refused(changed: dict[str, Any], said: str) -> None:
    given = {"spins": SPINS, "fields": FIELDS, "energies": ENERGIES} | changed
    with pytest.raises(InvalidInput, match=said):
        from_arrays(SYSTEM, **given)


def test_moments_are_scaled_away() -> None:
    """E(M) with M = m S: the field per moment times m is the field for unit spins."""
    labels = _quiet(2 * SPINS, FIELDS / 2, ENERGIES, normalize_spins=True, field_scale=2)
    torch.testing.assert_close(labels.stacked().field, torch.from_numpy(FIELDS))


def test_total_torque_tells_rows_that_do_not_belong_together() -> None:
    random = gs.core.random_spins(24, replicas=(6,), seed=1)
    with pytest.warns(ConventionWarning, match=r"do not add up to zero: their sum is \d"):
        from_arrays(SYSTEM, random, EXCHANGE.field(random).roll(1, dims=1))
    zeeman = EXCHANGE + gs.classical.Zeeman(SYSTEM, B=[0.0, 0.0, 1.0])
    with pytest.warns(ConventionWarning, match="spin_orbit"):
        from_arrays(SYSTEM, random, zeeman.field(random))
    _quiet(random, zeeman.field(random), spin_orbit=True)
    with pytest.warns(ConventionWarning, match="no torque to learn"):
        from_arrays(SYSTEM, random, 2 * random)


def test_unrelated_torques_have_a_total_of_one() -> None:
    """Random fields: |sum T|^2 is sum |T|^2 on average; 400 snapshots know the root to 3 %."""
    spins = gs.core.random_spins(24, replicas=(400,), seed=2)
    found = Conventions.of(SYSTEM, spins, gs.core.random_spins(24, replicas=(400,), seed=3), None)
    assert found.total_torque == pytest.approx(1.0, abs=0.09)


def test_order_of_the_axes_is_noticed_and_undone() -> None:
    """Arrays (y, x) of a lattice whose sites are (x, y)."""
    rows = np.arange(24).reshape(6, 4).T.reshape(-1)  # site of each row
    with pytest.warns(ConventionWarning, match="site_order=first_axis_fastest"):
        from_arrays(SYSTEM, SPINS[:, rows], FIELDS[:, rows])
    for order in ("first_axis_fastest", rows):
        np.testing.assert_array_equal(_quiet(SPINS[:, rows], FIELDS[:, rows], site_order=order).stacked().field, FIELDS)


def _written(folder: Path, form: str) -> tuple[list[Path], dict[str, str]]:
    """The quench in a file of another program."""
    path = folder / f"data.{form}"
    if form == "npz":
        np.savez(path, S=SPINS, B_eff=FIELDS, E=ENERGIES)
    elif form == "npy":
        paths = [folder / f"{name}.npy" for name in ("spins", "forces", "energies")]
        for each, values in zip(paths, (SPINS, FIELDS, ENERGIES), strict=True):
            np.save(each, values)
        return paths, {"fields": "forces"}
    elif form == "h5":
        with h5py.File(path, "w") as file:
            file["run/spins"], file["run/heff"], file["run/energy"] = SPINS, FIELDS, ENERGIES
        return [path], {"spins": "run/spins", "fields": "/run/heff", "energies": "run/energy"}
    elif form == "csv":
        lines = ["site,snapshot,spin_x,spin_y,spin_z,field_x,field_y,field_z,energy"]
        rows = [(k, t) for t in range(len(SPINS)) for k in range(24)][::-1]  # in any order
        lines += [",".join(map(repr, [k, t, *map(float, (*SPINS[t, k], *FIELDS[t, k], ENERGIES[t]))])) for k, t in rows]
        path.write_text("\n".join(lines))
    else:
        frames = []
        for spins, field, energy in zip(SPINS, FIELDS, ENERGIES, strict=True):
            atoms = gs.systems.to_ase(SYSTEM)
            atoms.new_array("spin", spins)
            atoms.new_array("field", field)
            atoms.info["total"] = float(energy)
            frames.append(atoms)
        ase.io.write(path, frames, format="extxyz")
        return [path], {"energies": "total"}
    return [path], {}


@pytest.mark.parametrize("form", ["npz", "npy", "h5", "csv", "xyz"])
def test_every_format_gives_the_same_labels(tmp_path: Path, form: str) -> None:
    files, names = _written(tmp_path, form)
    system = None if form == "xyz" else {"kind": "triangular", "shape": [6, 4]}
    config = ImportConfig(files=files, names=names, system=system, trajectory="quench", normalize_spins=form == "xyz")
    store = config.run(tmp_path / "labels.h5")
    assert isinstance(store, LabelStore)
    assert store.systems[0].lattice_shape == (6, 4, 1)
    stack = store.stacked()
    np.testing.assert_allclose(stack.spins, SPINS, atol=1e-7)
    np.testing.assert_allclose(stack.field, FIELDS, atol=1e-7)
    assert stack.energy is not None
    np.testing.assert_allclose(stack.energy, ENERGIES, atol=1e-6)
    assert store[4].provenance["step"] == 4


def test_files_that_do_not_say_what_they_hold(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", S=SPINS, spins=SPINS, H=FIELDS)
    with pytest.raises(InvalidInput, match="has spins and S; say which are the spins"):
        read_arrays(tmp_path / "two.npz")
    with pytest.raises(InvalidInput, match="has no 'B' for fields; it has H, S, spins"):
        read_arrays(tmp_path / "two.npz", {"fields": "B", "spins": "S"})
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:500])
    with pytest.raises(StoreError, match=r"cut\.npz is damaged"):
        read_arrays(tmp_path / "cut.npz")
    with pytest.raises(StoreError, match="does not exist"):
        read_arrays(tmp_path / "none.npz")
    (tmp_path / "x.dat").write_text("1 2 3")
    with pytest.raises(InvalidInput, match=r"\.npy and \.npz"):
        read_arrays(tmp_path / "x.dat")
    (tmp_path / "bad.csv").write_text("snapshot,spin_x,spin_y,spin_z\n0,1,0,0\n0,1,0,0\n1,1,0,0")
    with pytest.raises(InvalidInput, match="from 1 to 2 rows"):
        read_arrays(tmp_path / "bad.csv")
    (tmp_path / "import.yaml").write_text("files: two.npz\nsistem: 3")
    with pytest.raises(InvalidInput, match="sistem: unknown key"):
        read_config(tmp_path / "import.yaml", ImportConfig)
