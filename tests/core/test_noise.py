"""Laws of the counter-based noise."""

from __future__ import annotations

import math
import shutil
from functools import partial

import pytest
import torch

from gnnspin.core import InvalidInput
from gnnspin.core import noise as noise_module
from gnnspin.core.noise import philox4x32, thermal_noise

ONES = 0xFFFFFFFF
COMPILED = pytest.param(
    True, marks=[pytest.mark.slow, pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")]
)

# Random123 distribution, kat_vectors, philox4x32 10
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_philox_gives_the_published_words(counter, key, expected):
    first, second = torch.tensor([counter[0], counter[2]]), torch.tensor([counter[1], counter[3]])
    first, second = philox4x32(first[:, None].repeat(1, 70), second[:, None].repeat(1, 70), key)
    words = torch.stack([first[0], second[0], first[1], second[1]])
    assert (words == torch.tensor(expected)[:, None]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normals_are_the_box_muller_transform_of_the_counter_words(dtype):
    seed, replica, step, site = (7 << 32) + 5, 3, (2 << 32) + 9, 11
    first, second = philox4x32(torch.tensor([[site], [9]]), torch.tensor([[replica], [2]]), (seed & ONES, seed >> 32))
    u = [(int(word) + 0.5) / 2**32 for word in first]
    angles = [2 * math.pi * int(word) / 2**32 for word in second]
    radii = [math.sqrt(-2 * math.log(value)) for value in u]
    expected = [radii[0] * math.cos(angles[0]), radii[0] * math.sin(angles[0]), radii[1] * math.cos(angles[1])]
    value = thermal_noise(seed, [replica], step, 20, dtype)[0, site]
    torch.testing.assert_close(value.double(), torch.tensor(expected, dtype=torch.float64), atol=2e-6, rtol=0)


@pytest.mark.parametrize("compiled", [False, COMPILED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_alone_in_a_batch_and_in_parts_are_bitwise_equal(dtype, compiled, monkeypatch):
    n_sites = 1003
    noise = partial(thermal_noise, dtype=dtype, compiled=compiled)
    batch = noise(3, range(5), 17, n_sites)
    assert batch.shape == (5, n_sites, 3)
    assert batch.dtype == dtype
    for replica in range(5):
        assert torch.equal(noise(3, [replica], 17, n_sites)[0], batch[replica])
    assert torch.equal(noise(3, [4, 1], 17, n_sites), batch[[4, 1]])
    for first, last in [(0, 1), (1, 18), (13, n_sites), (n_sites - 1, n_sites)]:
        assert torch.equal(noise(3, range(5), 17, last - first, first_site=first), batch[:, first:last])
    for chunk, sites in ((1, 23), (7, 23), (100, n_sites), (2048, n_sites)):
        monkeypatch.setattr(noise_module, "_CPU_CHUNK", chunk)
        monkeypatch.setattr(noise_module, "_LARGE_CHUNK", chunk)
        assert torch.equal(noise(3, range(5), 17, sites), batch[:, :sites])


@pytest.mark.parametrize("compiled", [False, COMPILED])
def test_number_of_threads_does_not_matter(compiled):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = thermal_noise(1, [0], 0, 70_000, torch.float32, compiled=compiled)
        torch.set_num_threads(2)
        two = thermal_noise(1, [0], 0, 70_000, torch.float32, compiled=compiled)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(one, two)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_are_those_of_a_normal(dtype):
    x = thermal_noise(0, range(4), 1, 250_000, dtype).double()
    n = x.numel()
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((x**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96 / n)
    below = (x < torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0])[:, None, None, None]).double().mean((1, 2, 3))
    exact = 0.5 * (1 + torch.erf(torch.tensor([-2.0, -1.0, 0.0, 1.0, 3.0], dtype=torch.float64) / math.sqrt(2)))
    assert ((below - exact).abs() < 4 * (exact * (1 - exact) / n).sqrt()).all()
    assert 4.5 < x.abs().max() < 6.8


def test_components_sites_replicas_steps_and_seeds_are_uncorrelated():
    n_sites = 200_000
    base = thermal_noise(5, [0, 1], 10, n_sites)
    others = {
        "step": thermal_noise(5, [0], 11, n_sites)[0],
        "high step": thermal_noise(5, [0], 10 + (1 << 32), n_sites)[0],
        "seed": thermal_noise(6, [0], 10, n_sites)[0],
        "high seed": thermal_noise(5 + (1 << 32), [0], 10, n_sites)[0],
        "replica": base[1],
        "neighbour": base[0].roll(1, 0),
        "component": base[0].roll(1, 1),
    }
    bound = 4.5 / math.sqrt(n_sites)
    for name, other in others.items():
        assert (base[0] * other).mean(0).abs().max() < bound, name
        squares = (base[0].square() - 1) * (other.square() - 1) / 2
        assert squares.mean(0).abs().max() < 2 * bound, name


def test_float32_is_float64_rounded():
    double = thermal_noise(9, [0], 0, 50_000)
    single = thermal_noise(9, [0], 0, 50_000, torch.float32)
    torch.testing.assert_close(single.double(), double, atol=1e-3, rtol=0)
    assert (single.double() - double).abs().median() < 3e-7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"seed": 1 << 64}, "seed="),
        ({"step": -1}, "step=-1"),
        ({"replicas": [0, 1 << 32]}, "replicas"),
        ({"first_site": ONES}, "sites"),
    ],
)
def test_integers_out_of_range_are_errors(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        thermal_noise(**({"seed": 0, "replicas": [0], "step": 0, "n_sites": 4} | arguments))


def test_empty_request_gives_an_empty_tensor():
    assert thermal_noise(0, [], 0, 5).shape == (0, 5, 3)
    assert thermal_noise(0, [1, 2], 0, 0).shape == (2, 0, 3)


@pytest.mark.parametrize("compiled", [False, COMPILED])
def test_parts_of_a_union_have_the_noise_they_have_alone(compiled):
    sizes, ids = (5, 90, 7), [4, 1, 9, 2, 3, 0]
    union = thermal_noise(3, ids, 17, 102, part_sizes=sizes, compiled=compiled)
    assert union.shape == (2, 102, 3)
    for replica in range(2):
        for part, block in enumerate(union[replica].split(sizes)):
            assert torch.equal(
                block, thermal_noise(3, [ids[3 * replica + part]], 17, sizes[part], compiled=compiled)[0]
            )
    for wrong in ({"n_sites": 101}, {"replicas": [1, 2]}, {"first_site": 1}):
        given = {"replicas": ids, "n_sites": 102, "first_site": 0} | wrong
        with pytest.raises(InvalidInput, match="part_sizes"):
            thermal_noise(3, step=17, part_sizes=sizes, **given)
