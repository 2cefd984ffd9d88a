"""The store loses nothing that was appended, holds each system once, and names what is wrong with a file."""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import resource
import shutil
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.datasets import JoinedLabels, Label, LabelSet, LabelStore, holdout
from gnnspin.datasets.augmentation import spin_rotated, time_reversed
from gnnspin.systems import square, triangular, union

SQUARE, TRIANGULAR = square(4, 5), triangular(3, 3)


def label(number, system=SQUARE, **known):
    spins = random_spins(system.n_sites, seed=number)
    field = random_spins(system.n_sites, seed=number + 1000) * np.pi
    return Label(system, spins, field, provenance={"number": number}, **known)


def full_label(number, system=SQUARE):
    scalars = {"energy": -np.pi * number, "internal_energy": -3.0, "entropy": 0.1, "mu": -1 / 3, "n_electrons": 17.5}
    return label(number, system, density=torch.rand(system.n_sites, dtype=torch.float64), **scalars)


def same(a, b):
    numbers = ("energy", "internal_energy", "entropy", "mu", "n_electrons", "provenance")
    density = (a.density is None) == (b.density is None) and (a.density is None or torch.equal(a.density, b.density))
    arrays = torch.equal(a.spins, b.spins) and torch.equal(a.field, b.field) and density
    return arrays and a.system == b.system and all(getattr(a, name) == getattr(b, name) for name in numbers)


def test_labels_come_back_bit_for_bit(tmp_path):
    labels = [full_label(0), label(1, TRIANGULAR), full_label(2, TRIANGULAR), label(3)]
    store = LabelStore.create(tmp_path / "new" / "labels.h5", metadata={"why": "test"})
    assert len(store) == 0
    assert [store.append(each) for each in labels] == [0, 1, 2, 3]
    for reader in (store, LabelStore(store.path)):
        assert all(same(a, b) for a, b in zip(reader, labels, strict=True))
    store.compact()
    for reader in (store, LabelStore(store.path), pickle.loads(pickle.dumps(store))):
        assert all(same(a, b) for a, b in zip(reader, labels, strict=True))
        assert reader.metadata == {"why": "test"}
    assert labels[0].spins.dtype == labels[0].field.dtype == torch.float64
    assert torch.equal(store[2].torque, torch.linalg.cross(labels[2].spins, labels[2].field))


def test_any_mixture_of_pending_and_compacted_records_reads_the_same(tmp_path):
    plain, mixed = LabelStore.create(tmp_path / "plain.h5"), LabelStore.create(tmp_path / "mixed.h5")
    for number in range(7):
        each = full_label(number, TRIANGULAR if number % 3 == 1 else SQUARE)
        plain.append(each)
        mixed.append(each)
        if number in (2, 5):
            mixed.compact()
    assert all(same(a, b) for a, b in zip(mixed, plain, strict=True))
    for system, indices in plain.by_system().items():
        a, b = plain.stacked(indices), mixed.stacked(indices)
        assert a.system == b.system == system
        assert torch.equal(a.spins, b.spins)
        assert torch.equal(a.density, b.density)
        assert torch.equal(a.energy, b.energy)
    plain.compact()
    mixed.compact()
    assert plain.path.read_bytes() == mixed.path.read_bytes()


def test_a_system_is_stored_once(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in range(6):
        store.append(label(number, square(4, 5) if number % 2 else triangular(3, 3)))
    assert len(list(tmp_path.glob("labels.h5.pending/system-*.h5"))) == 2
    store.compact()
    with h5py.File(store.path) as file:
        assert set(file["systems"]) == {SQUARE.fingerprint, TRIANGULAR.fingerprint}
    assert store.systems == (TRIANGULAR, SQUARE)
    assert store.system_index.tolist() == [0, 1, 0, 1, 0, 1]
    assert not (tmp_path / "labels.h5.pending").exists()


def test_record_numbers_decide_the_order_and_are_never_reused(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in (7, 2, 5):
        store.append(label(number), number=number)
    store.compact()
    store.append(label(3), number=3)
    assert store.numbers == (2, 3, 5, 7)
    assert [each.provenance["number"] for each in store] == [2, 3, 5, 7]
    for taken in (3, 5):
        with pytest.raises(StoreError, match=f"record number {taken}"):
            LabelStore(store.path).append(label(0), number=taken)
    assert store.append(label(8)) == 8


def test_a_crash_inside_compaction_duplicates_nothing(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in range(3):
        store.append(full_label(number))
    pending = tmp_path / "labels.h5.pending"
    shutil.copytree(pending, tmp_path / "copy")
    expected = list(store)
    store.compact()
    shutil.copytree(tmp_path / "copy", pending)  # as if the process died before it deleted them
    again = LabelStore(store.path)
    assert all(same(a, b) for a, b in zip(again, expected, strict=True))
    again.compact()
    assert not pending.exists()
    assert all(same(a, b) for a, b in zip(again, expected, strict=True))


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gnnspin.datasets"])
    return context


def _write_for_ever(path, connection):
    system = square(20, 20)
    store = LabelStore.create(path)
    for number in itertools.count():
        spins = random_spins(400, seed=number)
        store.append(Label(system, spins, 2 * spins, energy=float(number)))
        connection.send(number)
        if number % 7 == 6:
            store.compact()


@pytest.mark.parametrize(
    "delay", [0.0, 0.023, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.01, 0.05, 0.11))]
)
def test_a_killed_writer_leaves_every_record_it_reported(tmp_path, processes, delay):
    path = tmp_path / "labels.h5"
    receiver, sender = processes.Pipe(duplex=False)
    writer = processes.Process(target=_write_for_ever, args=(path, sender))
    writer.start()
    sender.close()
    reported = 0
    while reported < 9:
        assert receiver.poll(50)
        reported = receiver.recv()
    time.sleep(delay)
    writer.kill()
    writer.join()
    with contextlib.suppress(EOFError):
        while True:
            reported = receiver.recv()
    store = LabelStore(path)
    assert len(store) >= reported + 1
    assert store.numbers == tuple(range(len(store)))
    for number, each in enumerate(store):
        assert each.energy == number
        assert torch.equal(each.spins, random_spins(400, seed=number))
    store.append(label(0))
    store.compact()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["labels.h5"]


def _append_numbers(path, numbers):
    store = LabelStore(path)
    for number in numbers:
        store.append(label(number), number=number)


def test_processes_append_side_by_side(tmp_path, processes):
    store = LabelStore.create(tmp_path / "labels.h5")
    workers = [processes.Process(target=_append_numbers, args=(store.path, range(k, 24, 3))) for k in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(50)
        assert worker.exitcode == 0
    store.compact()
    assert store.numbers == tuple(range(24))
    assert all(same(each, label(number)) for number, each in enumerate(store))


def _with_small_files(path, connection):
    """Every write beyond 16 kB of a file fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (16384, 16384))
    store = LabelStore(path)
    for action in (lambda: store.append(label(99, square(30, 30))), store.compact):
        try:
            connection.send(f"done: {action()}")
        except StoreError as error:
            connection.send(str(error))


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path, processes):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in range(20):
        store.append(label(number))
    receiver, sender = processes.Pipe(duplex=False)
    process = processes.Process(target=_with_small_files, args=(store.path, sender))
    process.start()
    for _ in range(2):
        assert receiver.poll(50)
        assert "disk full" in receiver.recv()
    process.join()
    assert process.exitcode == 0
    again = LabelStore(store.path)
    assert all(same(a, b) for a, b in zip(again, store, strict=True))
    assert not list(tmp_path.rglob("*.tmp"))


def test_missing_foreign_and_damaged_files_are_named(tmp_path):
    with pytest.raises(StoreError, match=r"nowhere\.h5 does not exist"):
        LabelStore(tmp_path / "nowhere.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5 at all")
    with pytest.raises(StoreError, match=r"text\.h5 is damaged"):
        LabelStore(text)
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["x"] = [1.0]
    with pytest.raises(StoreError, match=r"foreign\.h5 is an HDF5 file, but not a gnnspin label store"):
        LabelStore(foreign)
    with pytest.raises(StoreError, match="exists; choose another name"):
        LabelStore.create(foreign)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_store_is_reported(tmp_path, kept):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in range(5):
        store.append(label(number))
    store.compact()
    content = store.path.read_bytes()
    store.path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(StoreError, match=r"labels\.h5 is damaged"):
        [each.spins for each in LabelStore(store.path)]


def test_flipped_bits_are_found_by_checksum(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    store.append(label(0))
    store.compact()
    content = bytearray(store.path.read_bytes())
    position = content.find(label(0).spins.numpy().tobytes())
    assert position > 0
    content[position + 5] ^= 1
    store.path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"labels\.h5 is damaged"):
        LabelStore(store.path)[0]


def test_records_of_a_removed_store_are_not_adopted(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    store.append(label(0))
    store.path.unlink()
    with pytest.raises(StoreError, match="removed"):
        LabelStore.create(store.path)


def test_views_and_indices(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in range(6):
        store.append(label(number, TRIANGULAR if number == 3 else SQUARE, energy=float(number)))
    view = store.subset([5, 3, 0])
    assert isinstance(view, LabelSet)
    assert [each.energy for each in view] == [5, 3, 0]
    assert view.subset([-1])[0].energy == store[0].energy == 0
    assert [each.energy for each in store[1:5:2]] == [1, 3]
    assert view.systems == store.systems == (SQUARE, TRIANGULAR)
    assert view.subset([1]).systems == (TRIANGULAR,)
    assert view.stacked([2, 0]).energy.tolist() == [0, 5]
    assert view.stacked([2, 0]).mu is None
    with pytest.raises(InvalidInput, match="2 systems"):
        store.stacked()
    with pytest.raises(InvalidInput, match="index 6 is out of range"):
        store.subset([0, 6])
    with pytest.raises(IndexError):
        store[6]


def test_labels_refuse_bad_values():
    spins = random_spins(20, seed=0)
    with pytest.raises(InvalidInput, match="not a unit vector"):
        Label(SQUARE, 2 * spins, spins)
    with pytest.raises(InvalidInput, match=r"field of a label has shape \(19, 3\)"):
        Label(SQUARE, spins, spins[1:])
    with pytest.raises(InvalidInput, match="not finite"):
        Label(SQUARE, spins, spins * torch.nan)
    with pytest.raises(InvalidInput, match="energy=nan"):
        Label(SQUARE, spins, spins, energy=float("nan"))
    with pytest.raises(InvalidInput, match="union"):
        Label(union([SQUARE, SQUARE]), random_spins(40, seed=0), random_spins(40, seed=0))


def test_provenance_must_be_json(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    with pytest.raises(InvalidInput, match="JSON"):
        store.append(Label(SQUARE, random_spins(20, seed=0), random_spins(20, seed=0), provenance={"path": Path()}))
    assert len(LabelStore(store.path)) == 0


def _as_version_1(path):
    """Rewrite the records of a file as the previous version of the package wrote them: numbers in one dataset."""
    with h5py.File(path, "r+") as file:
        if "version" in file.attrs:
            file.attrs["version"] = 1
        for group in file.get("records", {}).values():
            names = ("energy", "internal_energy", "entropy", "mu", "n_electrons")
            group["scalars"] = np.stack([group[name][:] for name in names], axis=1)
            for name in names:
                del group[name]


def test_quantities_have_names_and_the_unnamed_ones_of_old_files_are_read(tmp_path):
    labels = [full_label(0), label(1, energy=2.5), full_label(2, TRIANGULAR), full_label(3)]
    store = LabelStore.create(tmp_path / "labels.h5")
    for each in labels[:3]:
        store.append(each)
    store.compact()
    store.append(labels[3])
    with h5py.File(store.path) as file:
        assert file[f"records/{SQUARE.fingerprint}/energy"][0] == 0.0
        assert file[f"records/{TRIANGULAR.fingerprint}/mu"][0] == -1 / 3
    for path in (store.path, *tmp_path.glob("labels.h5.pending/0*.h5")):
        _as_version_1(path)
    old = LabelStore(store.path)
    assert all(same(a, b) for a, b in zip(old, labels, strict=True))
    assert old.stacked([0, 3]).energy.tolist() == [labels[0].energy, labels[3].energy]
    assert old.stacked([0, 1]).mu is None
    old.compact()
    assert all(same(a, b) for a, b in zip(LabelStore(store.path), labels, strict=True))
    with h5py.File(store.path) as file:
        assert file.attrs["version"] == 2
        assert "scalars" not in file[f"records/{SQUARE.fingerprint}"]


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("compacted", [True, False])
def test_a_reader_goes_on_when_another_process_compacts(tmp_path, compacted, opened):
    """Its records move from pending files to the main file, and rows of the main file shift."""
    writer = LabelStore.create(tmp_path / "labels.h5")
    for number in (4, 9, 6):
        writer.append(label(number, TRIANGULAR if number == 9 else SQUARE), number=number)
    if compacted:
        writer.compact()
    reader = LabelStore(writer.path)
    if opened:
        assert reader[0].provenance["number"] == 4
    writer.append(label(1), number=1)
    writer.append(label(5), number=5)
    writer.compact()
    assert [each.provenance["number"] for each in reader] == [4, 6, 9]
    assert all(
        same(each, label(n, TRIANGULAR if n == 9 else SQUARE)) for each, n in zip(reader, (4, 6, 9), strict=True)
    )
    assert torch.equal(reader.stacked([0, 1]).spins[1], label(6).spins)
    reader.refresh()
    assert reader.numbers == (1, 4, 5, 6, 9)


def test_a_reader_says_that_its_store_was_replaced(tmp_path):
    store = LabelStore.create(tmp_path / "labels.h5")
    store.append(label(0))
    reader = LabelStore(store.path)
    shutil.rmtree(tmp_path / "labels.h5.pending")
    with pytest.raises(StoreError, match="without record 0"):
        reader[0]


def test_provenance_is_read_without_the_labels(tmp_path, monkeypatch):
    store = LabelStore.create(tmp_path / "labels.h5")
    for number in range(5):
        store.append(label(number, TRIANGULAR if number == 3 else SQUARE))
        if number == 2:
            store.compact()
    mixed = JoinedLabels([store.subset([4, 0]), time_reversed(store), spin_rotated(store, 2), store[1:]])
    expected = [each.provenance for each in mixed]
    monkeypatch.setattr("gnnspin.datasets.label_store.label_of", None)
    assert mixed.provenances == expected
    assert [found["number"] for found in store.provenances] == [0, 1, 2, 3, 4]
    rest, held = holdout(store, 0.4)
    assert len(rest) + len(held) == 5


def test_a_label_costs_the_same_whatever_is_there(tmp_path, monkeypatch):
    """Appending lists no folder, nor sorts what came before."""
    store = LabelStore.create(tmp_path / "labels.h5")
    store.append(label(0))

    def listed(*_, **__):
        raise AssertionError("a folder was listed")

    with monkeypatch.context() as patch:
        for owner, name in ((Path, "glob"), (Path, "iterdir"), (os, "listdir"), (os, "scandir")):
            patch.setattr(owner, name, listed)
        for number in (5, 1, None):
            store.append(label(1), number=number)
        with pytest.raises(StoreError, match="already has a record number 5"):
            store.append(label(1, TRIANGULAR), number=5)
    assert store.numbers == LabelStore(store.path).numbers == (0, 1, 5, 6)


def test_a_number_that_two_writers_used_is_an_error_not_a_loss(tmp_path):
    first = LabelStore.create(tmp_path / "labels.h5")
    second = LabelStore(first.path)
    first.append(label(0), number=3)
    with pytest.raises(StoreError, match="already has a record number 3"):
        second.append(label(1), number=3)
    second.append(label(1, TRIANGULAR), number=3)
    for look in (first.refresh, second.compact, lambda: LabelStore(first.path)):
        with pytest.raises(StoreError, match=r"two processes appended record number 3: .*keep one"):
            look()
