"""Unit-cell models and Wannier90 files against Bloch Hamiltonians."""

import numpy as np
import pytest
import torch
from helpers import gradient_error

from gnnspin.core import InvalidInput, random_spins
from gnnspin.electrons import (
    CellHopping,
    ExactDiagonalization,
    NearestNeighborHopping,
    OnsiteEnergy,
    SDHamiltonian,
    TwistedHopping,
    wannier90_hopping,
)
from gnnspin.electrons.hopping.wannier import read_hr
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, kagome, square, union

CELLS = np.array(
    [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [2, 1, 0], [-2, -1, 0], [0, 1, 0], [0, -1, 0], [1, -1, 0], [-1, 1, 0]]
)


def random_model(size: int, seed: int, *, real: bool = False) -> np.ndarray:
    """H(R) = H(-R)^+ for the cells above."""
    generator = np.random.default_rng(seed)
    blocks = generator.normal(size=(len(CELLS), size, size)) + (not real) * 1j * generator.normal(
        size=(len(CELLS), size, size)
    )
    opposite = [0, 2, 1, 4, 3, 6, 5, 8, 7]
    return (blocks + blocks[opposite].conj().swapaxes(1, 2)) / 2


def bloch_levels(cells, blocks, shape, twist=(0.0, 0.0)):
    """All levels of H(k) = sum_R exp(i k R) H(R) on the momenta of a periodic lattice."""
    found = []
    for n1, n2 in np.ndindex(*shape):
        k = np.array([(2 * np.pi * n1 + twist[0]) / shape[0], (2 * np.pi * n2 + twist[1]) / shape[1], 0])
        found.append(np.linalg.eigvalsh(np.tensordot(np.exp(1j * cells @ k), blocks, 1)))
    return np.sort(np.concatenate(found))


def write_hr(path, cells, blocks, degeneracy):
    """The file format of Wannier90: degeneracies fifteen per line, fastest index the first orbital."""
    size = blocks.shape[1]
    lines = [" written on a day", f"{size:12d}", f"{len(cells):12d}"]
    weights = [f"{d:5d}" for d in degeneracy]
    lines += ["".join(weights[k : k + 15]) for k in range(0, len(weights), 15)]
    for cell, block, d in zip(cells, blocks, degeneracy, strict=True):
        for n, m in np.ndindex(size, size):
            value = block[m, n] * d
            numbers = [*cell, m + 1, n + 1]
            lines.append("".join(f"{x:5d}" for x in numbers) + f"{value.real:12.6f}{value.imag:12.6f}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_levels_are_those_of_the_bloch_hamiltonian():
    """Also on lattices shorter than the range, and with twisted boundaries."""
    blocks = random_model(4, 0)
    rule = CellHopping(CELLS, blocks, orbital_basis=[0, 1, 1, 1])
    for shape in ((4, 3), (2, 1)):
        matrix = rule.matrix(honeycomb(*shape)).toarray()
        np.testing.assert_allclose(np.linalg.eigvalsh(matrix), bloch_levels(CELLS, blocks, shape), atol=1e-11)
        twisted = TwistedHopping(rule, (0.4, -0.7, 0)).matrix(honeycomb(*shape)).toarray()
        expected = bloch_levels(CELLS, blocks, shape, (0.4, -0.7))
        np.testing.assert_allclose(np.linalg.eigvalsh(twisted), expected, atol=1e-11)


def test_orbitals_are_sorted_by_site():
    """A model listed in another order is the same Hamiltonian."""
    blocks, order = random_model(4, 1), np.array([2, 0, 3, 1])
    plain = CellHopping(CELLS, blocks, orbital_basis=[0, 0, 1, 2])
    basis = np.array([0, 0, 1, 2])[order]
    shuffled = CellHopping(CELLS, blocks[:, order][:, :, order], orbital_basis=basis)
    system = kagome(3, 2)
    levels = [np.linalg.eigvalsh(rule.matrix(system).toarray()) for rule in (plain, shuffled)]
    np.testing.assert_allclose(*levels, atol=1e-11)
    hamiltonian = SDHamiltonian(system, shuffled, J=2.0)
    assert hamiltonian.n_orbitals == 24
    assert np.bincount(hamiltonian.orbital_site).tolist() == [2, 1, 1] * 6


def test_one_orbital_model_is_the_nearest_neighbor_rule():
    """On tori, cylinders, open lattices and unions of them."""
    rule = CellHopping([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], -np.ones((4, 1, 1)), orbital_basis=[0])
    for system in (square(4, 3), square(4, 3, pbc=(True, False)), square(4, 3, pbc=False), union([square(2, 3)] * 2)):
        assert abs(rule.matrix(system) - NearestNeighborHopping().matrix(system)).max() == 0
    total = rule + OnsiteEnergy(np.ones(12))
    assert total.matrix(square(4, 3)).diagonal().tolist() == [1.0] * 12


def test_file_gives_the_model(tmp_path):
    """Degeneracies divide, six decimals survive, sixteen cells need two lines of degeneracies."""
    blocks = np.round(random_model(3, 2), 6)
    extra = np.array([[0, 0, n] for n in range(-8, 9) if n])[:-9]
    cells = np.concatenate([CELLS, extra, -extra[::-1]])[: 9 + 14]
    cells = np.concatenate([CELLS, [[3, k, 0] for k in range(-2, 2)], [[-3, -k, 0] for k in range(-2, 2)]])
    blocks = np.concatenate([blocks, np.zeros((8, 3, 3))])
    degeneracy = 1 + np.arange(17) % 4
    degeneracy[[2, 4, 6, 8]] = degeneracy[[1, 3, 5, 7]]
    path = write_hr(tmp_path / "model_hr.dat", cells, blocks, degeneracy)
    data = read_hr(path)
    np.testing.assert_array_equal(data.cells, cells)
    np.testing.assert_allclose(data.blocks, blocks, atol=1e-6)
    rule = wannier90_hopping(path, [1, 0, 0])
    levels = np.linalg.eigvalsh(rule.matrix(honeycomb(3, 4)).toarray())
    np.testing.assert_allclose(levels, bloch_levels(cells, blocks, (3, 4)), atol=1e-5)
    assert wannier90_hopping(path, [1, 0, 0], smallest=100.0).matrix(honeycomb(2, 2)).nnz == 0


@pytest.mark.parametrize("spinor", ["interleaved", "blocks"])
def test_spinors(tmp_path, spinor):
    """Both orders of the file; the spin acts on up and down of the same orbital."""
    size = 2
    spinful = random_model(2 * size, 3)
    order = np.arange(2 * size)
    if spinor == "blocks":
        order = np.array([2 * m + a for a in (0, 1) for m in range(size)])
    path = write_hr(tmp_path / "model_hr.dat", CELLS, spinful[:, order][:, :, order], np.ones(9, dtype=int))
    rule = wannier90_hopping(path, [0, 1], spinor=spinor)
    system = honeycomb(2, 3)
    hamiltonian = SDHamiltonian(system, rule, J=np.tile([0.5, 0.0], 6))
    expected = bloch_levels(CELLS, spinful, (2, 3))
    np.testing.assert_allclose(np.linalg.eigvalsh(hamiltonian.one_body.toarray()), expected, atol=1e-5)
    assert not hamiltonian.spin_diagonal
    direct = CellHopping(CELLS, spinful.reshape(-1, size, 2, size, 2), [0, 1])
    assert abs(direct.matrix(system) - rule.matrix(system)).max() < 1e-6
    ed = ExactDiagonalization(hamiltonian, kT=0.1, filling=0.4)
    spins = random_spins(12, seed=0)
    assert gradient_error(ed, spins) < 1e-6
    assert not ed.field(spins)[1::2].any()


def test_two_orbital_chain_of_the_textbook():
    """Rice-Mele: levels +- sqrt(m^2 + |v + w exp(-ik)|^2)."""
    v, w, m = 0.6, 1.0, 0.3
    right = np.array([[0, 0], [w, 0]])
    rule = CellHopping(
        [[0, 0, 0], [1, 0, 0], [-1, 0, 0]], [np.array([[m, v], [v, -m]]), right, right.T], orbital_basis=[0, 0]
    )
    k = 2 * np.pi * np.arange(7) / 7
    energy = np.sqrt(m**2 + abs(v + w * np.exp(-1j * k)) ** 2)
    levels = np.linalg.eigvalsh(rule.matrix(chain(7)).toarray())
    np.testing.assert_allclose(levels, np.sort(np.concatenate([energy, -energy])), atol=1e-12)


def test_specification_tells_models_apart():
    rules = [CellHopping(CELLS, random_model(2, seed), [0, 1]) for seed in (0, 0, 1)]
    assert rules[0].specification() == rules[1].specification()
    assert rules[0].specification() != rules[2].specification()
    moved = CellHopping(CELLS, random_model(2, 0), [0, 0])
    assert moved.specification() != rules[0].specification()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (([[0, 0]], np.ones((1, 1, 1)), [0]), "expected .K, 3."),
        (([[0, 0, 0]], np.ones((1, 2, 2)), [0]), r"blocks have shape \(1, 2, 2\)"),
        (([[1, 0, 0]], np.ones((1, 1, 1)), [0]), "list both directions"),
        (([[0, 0, 0]], np.array([[[1j]]]), [0]), "differ by 2"),
        (([[0, 0, 0]], np.ones((1, 1, 1)), [-1]), "count basis sites from 0"),
    ],
)
def test_bad_models(arguments, reason):
    with pytest.raises(InvalidInput, match=reason):
        CellHopping(*arguments)


def test_bad_systems():
    rule = CellHopping([[0, 0, 0]], np.ones((1, 2, 2)), [0, 1])
    with pytest.raises(InvalidInput, match="is none"):
        SDHamiltonian(amorphous(8, 4.0, 0.5, seed=0), rule)
    with pytest.raises(InvalidInput, match="basis site 1"):
        rule.matrix(square(2, 2))


def test_bad_files(tmp_path):
    good = write_hr(tmp_path / "good", CELLS, random_model(2, 0), np.ones(9, dtype=int))
    text = good.read_text().splitlines()
    for name, content, reason in [
        ("cut", text[:-3], "need 36 lines of 7 numbers, found 33"),
        ("letters", [*text[:-1], "1 0 0 1 1 x 0"], "not a Wannier90"),
        ("empty", [], "not a Wannier90"),
    ]:
        path = tmp_path / name
        path.write_text("\n".join(content))
        with pytest.raises(InvalidInput, match=reason):
            wannier90_hopping(path, [0, 0])
    with pytest.raises(InvalidInput, match="cannot read"):
        wannier90_hopping(tmp_path / "missing", [0])
    with pytest.raises(InvalidInput, match=r"2 Wannier functions.*describes 4"):
        wannier90_hopping(good, [0, 0], spinor="blocks")
    odd = write_hr(tmp_path / "odd", CELLS[:2], random_model(2, 0)[:2], [1, 1])
    with pytest.raises(InvalidInput, match="not its opposite"):
        wannier90_hopping(odd, [0, 0])


def test_rows_go_by_their_own_labels(tmp_path):
    """R as the innermost loop, shuffled rows, eight degeneracies per line and a Latin-1 comment: the same model."""
    blocks, degeneracy = np.round(random_model(3, 4), 6), np.array([1, 2, 2, 3, 3, 1, 1, 4, 4])
    path = write_hr(tmp_path / "plain", CELLS, blocks, degeneracy)
    expected = read_hr(path)
    lines = path.read_text().splitlines()
    head, rows = lines[:4], lines[4:]
    inner = [rows[9 * cell + element] for element in range(9) for cell in range(9)]
    mixed = [rows[0], *np.random.default_rng(0).permutation(rows[1:])]
    for name, order in (("inner", inner), ("mixed", mixed)):
        weights = [" ".join(head[3].split()[:8]), head[3].split()[8]] if name == "inner" else [head[3]]
        other = tmp_path / name
        other.write_bytes("\n".join([" créé le 3 février", *head[1:3], *weights, *order]).encode("latin-1"))
        if name == "mixed":
            reordered = read_hr(other).cells
            by_cell = {tuple(cell): d for cell, d in zip(CELLS.tolist(), degeneracy.tolist(), strict=True)}
            weights = ["".join(f"{by_cell[tuple(cell)]:5d}" for cell in reordered.tolist())]
            other.write_text("\n".join([*head[:3], *weights, *order]))
        found = read_hr(other)
        index = [found.cells.tolist().index(cell) for cell in expected.cells.tolist()]
        np.testing.assert_array_equal(found.blocks[index], expected.blocks)


def test_labels_that_do_not_fit_are_refused(tmp_path):
    path = write_hr(tmp_path / "good", CELLS, random_model(2, 0), np.ones(9, dtype=int))
    lines = path.read_text().splitlines()
    for name, line, content, reason in [
        ("twice", 6, lines[5], "line 7: the element .* is given twice"),
        ("zero", 6, lines[6][:20] + "    0" + lines[6][25:], r"line 7: .* m and n in 1 \.\. 2"),
        ("large", 6, lines[6][:15] + "    3" + lines[6][20:], r"line 7: .* m and n in 1 \.\. 2"),
        ("fraction", 6, " 0.5" + lines[6][5:], "line 7: .* must be integers"),
        ("infinite", 6, lines[6][:25] + " nan 0.0", "line 7: .* must be integers R, m, n and two numbers"),
        ("stranger", 6, "    9" + lines[6][5:], "9 cells R announced, 10 found"),
        ("degeneracy", 3, lines[3].replace("1", "-1", 1), "degeneracies of at least 1"),
    ]:
        other = tmp_path / name
        other.write_text("\n".join([*lines[:line], content, *lines[line + 1 :]]))
        with pytest.raises(InvalidInput, match=reason):
            read_hr(other)


def test_real_file_stays_real(tmp_path):
    path = write_hr(tmp_path / "real", CELLS, random_model(2, 5, real=True), np.ones(9, dtype=int))
    hamiltonian = SDHamiltonian(honeycomb(3, 3), wannier90_hopping(path, [0, 1]), J=1.0)
    assert hamiltonian.one_body.dtype == np.float64
    assert hamiltonian.time_reversal
    spins = random_spins(18, seed=0)
    ed = ExactDiagonalization(hamiltonian, kT=0.1, mu=0.0)
    torch.testing.assert_close(ed.field(-spins), -ed.field(spins), atol=1e-11, rtol=0)
    assert isinstance(hamiltonian.system, SpinSystem)
