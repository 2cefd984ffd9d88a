"""S(q, omega): sum rules, signs, magnon frequencies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gnnspin.classical import Heisenberg, Zeeman
from gnnspin.core import InvalidInput, State, random_spins
from gnnspin.dynamics import simulate
from gnnspin.dynamics.spectrum import DynamicStructureFactor
from gnnspin.observables import structure_factor_at, wave_vectors
from gnnspin.sampling.sampler import sample
from gnnspin.sampling.updates import HeatBath
from gnnspin.systems import chain, honeycomb, square


def feed(spectrum, frames, interval):
    for number, spins in enumerate(frames):
        spectrum(State(spins, number * interval, number))
    return spectrum


@pytest.mark.parametrize("window", ["boxcar", "hann", "blackman"])
def test_frequency_integral_is_the_static_structure_factor(window):
    system = honeycomb(3, 3)
    q = wave_vectors(system)[[0, 1, 2], [1, 2, 0], 0]
    frames = random_spins(18, replicas=(32, 2), seed=0)
    spectrum = feed(DynamicStructureFactor(system, q, interval=0.3, n_samples=32, window=window), frames, 0.3).result()
    weight = np.hanning(33)[:-1] if window == "hann" else None
    static = structure_factor_at(system, frames, q).mean(1).numpy()
    if window == "boxcar":
        np.testing.assert_allclose(spectrum.static, static.mean(0), rtol=1e-12)
    elif window == "hann":
        np.testing.assert_allclose(spectrum.static, np.average(static, axis=0, weights=weight**2), rtol=1e-12)
    np.testing.assert_allclose(spectrum.tensor, spectrum.tensor.conj().swapaxes(2, 3), atol=1e-12)
    assert (spectrum.power >= 0).all()
    assert spectrum.omega[16] == 0
    assert spectrum.resolution == pytest.approx(2 * math.pi / (32 * 0.3))


def test_precession_shows_at_plus_b_in_the_circular_component():
    """dS/dt = S x B z turns clockwise: S_x + i S_y ~ exp(-i B t), a line at omega = +B."""
    source, spins = Zeeman(chain(1, pbc=False), [0, 0, 1.5]), torch.tensor([[1.0, 0.0, 0.0]]).double()
    observer = DynamicStructureFactor(source.system, np.zeros(3), interval=0.1, n_samples=512)
    simulate(source, spins, dt=0.1, n_steps=511, damping=0.0, integrator="rotation", observers=[observer])
    found = observer.result()
    plus = np.array([1, 1j, 0]) / math.sqrt(2)
    circular = np.einsum("a,qmab,b->qm", plus, found.tensor, plus.conj()).real
    assert found.omega[circular[0].argmax()] == pytest.approx(1.5, abs=found.resolution)
    assert circular[0][found.omega < 0].max() < 1e-6 * circular.max()
    assert found.peaks()[0] == pytest.approx(1.5, abs=0.1 * found.resolution)


@pytest.mark.parametrize(
    ("system", "steps", "dt"),
    [
        (chain(24), [(1, 0), (4, 0), (9, 0), (12, 0)], 0.05),
        pytest.param(square(8, 8), [(1, 0), (3, 2), (4, 4)], 0.025, marks=pytest.mark.slow),
    ],
)
def test_magnons_of_a_cold_ferromagnet_have_their_dispersion(system, steps, dt):
    """The law is omega = 2 J sum_d (1 - cos k_d) + B, within the frequency resolution."""
    J, B, every, n_samples = 1.0, 0.5, round(0.2 / dt), 256
    source = Heisenberg(system, J=J) + Zeeman(system, [0, 0, B])
    up = torch.tensor([0.0, 0.0, 1.0]).double().expand(2, system.n_sites, 3)
    cold = sample(HeatBath(source, 1e-3, overrelaxation=4, seed=1), up, n_sweeps=100).spins
    q = np.array([wave_vectors(system)[n1, n2, 0] for n1, n2 in steps])
    observer = DynamicStructureFactor(system, q, interval=dt * every, n_samples=n_samples)
    simulate(source, cold, dt=dt, n_steps=n_samples * every, damping=0.0, observers=[observer], observe_every=every)
    found = observer.result()
    exact = B + 2 * J * (1 - np.cos(q[:, :2])).sum(1)
    assert found.resolution < 0.13
    np.testing.assert_allclose(found.peaks(minimum=B / 2), exact, atol=found.resolution)


def test_memory_is_bounded_and_segments_overlap():
    system, frames = chain(4), random_spins(4, replicas=(40,), seed=0)
    observer = DynamicStructureFactor(system, np.zeros((1, 3)), interval=1.0, n_samples=16, overlap=0.5)
    for number, spins in enumerate(frames):
        assert observer(State(spins, float(number), number)) == max(0, (number + 1 - 8) // 8)
        assert len(observer._samples) < 16
    boxes = [np.fft.ifft(frames.sum(1)[a : a + 16].numpy() / 2 * np.hanning(17)[:-1, None], axis=0, norm="forward")
             for a in (0, 8, 16, 24)]  # fmt: skip
    expected = np.mean([np.abs(x) ** 2 for x in boxes], axis=0).sum(1) / (np.hanning(17)[:-1] ** 2).sum()
    np.testing.assert_allclose(observer.result().power[0], np.fft.fftshift(expected), rtol=1e-10)


def test_a_gap_begins_a_new_segment_and_arrays_continue_one():
    system, frames = chain(4), random_spins(4, replicas=(24,), seed=0)

    def observer():
        return DynamicStructureFactor(system, [[0.0, 0, 0]], interval=1.0, n_samples=16)

    broken = observer()
    for number in [*range(10), *range(12, 24)]:
        broken(State(frames[number], float(number), number))
    with pytest.raises(InvalidInput, match="no segment of 16"):
        broken.result()
    whole = feed(observer(), frames, 1.0)
    first = feed(observer(), frames[:10], 1.0)
    second = observer().restore({name: value.copy() for name, value in first.arrays().items()})
    for number in range(10, 24):
        second(State(frames[number], float(number), number))
    assert np.array_equal(second.result().tensor, whole.result().tensor)
    with pytest.raises(InvalidInput, match="stored spectrum"):
        DynamicStructureFactor(system, [[0.0, 0, 0]], interval=1.0, n_samples=8).restore(first.arrays())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"interval": 0.0}, "interval=0.0"),
        ({"n_samples": 2}, "n_samples=2"),
        ({"overlap": 1.0}, "overlap=1.0"),
        ({"wave_vectors": [[0.0, 1.0]]}, "wave_vectors"),
    ],
)
def test_bad_input(options, message):
    with pytest.raises(InvalidInput, match=message):
        DynamicStructureFactor(chain(4), **({"wave_vectors": [0, 0, 0], "interval": 1.0} | options))
