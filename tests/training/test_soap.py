"""SOAP against Adam, and on problems where the difference shows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnspin.training.soap import SOAP


def minimize(optimizer: type[torch.optim.Optimizer], steps: int, **options: object) -> float:
    """Loss after `steps` on a least-squares problem with correlated inputs and outputs."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(20, 20, generator=generator) @ torch.diag(torch.logspace(0, -2, 20))
    inputs = torch.randn(200, 20, generator=generator) @ mixing @ torch.randn(20, 20, generator=generator)
    targets = inputs @ torch.randn(20, 5, generator=generator)
    weight = nn.Parameter(torch.zeros(20, 5))
    chosen = optimizer([weight], lr=3e-2, **options)  # type: ignore[call-arg]
    loss = torch.tensor(0.0)
    for _ in range(steps):
        chosen.zero_grad()
        loss = (inputs @ weight - targets).square().mean()
        loss.backward()
        chosen.step()
    return float(loss.detach())


def test_adam_where_nothing_is_rotated() -> None:
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    results = []
    for optimizer in (SOAP, torch.optim.Adam):
        weight = nn.Parameter(start.clone())
        options = {"largest_side": 0} if optimizer is SOAP else {}
        chosen = optimizer([weight], lr=1e-2, betas=(0.9, 0.95), **options)
        for _ in range(20):
            chosen.zero_grad()
            (weight**4 - weight).sum().backward()
            chosen.step()
        results.append(weight.detach())
    assert torch.allclose(results[0], results[1], atol=1e-6)


def test_correlated_inputs_are_learned_faster_than_by_adam() -> None:
    assert minimize(SOAP, 300) < 0.1 * minimize(torch.optim.Adam, 300)


def test_resumes_from_its_state() -> None:
    def run(steps: int, weight: nn.Parameter, optimizer: SOAP) -> Tensor:
        for _ in range(steps):
            optimizer.zero_grad()
            (weight @ weight.T - torch.eye(4)).square().sum().backward()
            optimizer.step()
        return weight.detach().clone()

    start = torch.randn(4, 6, generator=torch.Generator().manual_seed(2))
    through = nn.Parameter(start.clone())
    expected = run(25, through, SOAP([through]))
    first = nn.Parameter(start.clone())
    optimizer = SOAP([first])
    run(12, first, optimizer)
    second = nn.Parameter(first.detach().clone())
    resumed = SOAP([second])
    resumed.load_state_dict(optimizer.state_dict())
    assert torch.equal(run(13, second, resumed), expected)


def test_a_gradient_of_very_unequal_entries_gives_a_finite_step() -> None:
    """The first covariance of a vector has rank one; squares that underflow must not spoil its eigenvectors."""
    generator = torch.Generator().manual_seed(3)
    for size in (7, 150, 260):
        weight = nn.Parameter(torch.zeros(size))
        optimizer = SOAP([weight], lr=1e-2)
        for _ in range(12):
            weight.grad = torch.randn(size, generator=generator) * torch.logspace(0, -30, size)
            optimizer.step()
        assert bool(torch.isfinite(weight).all())
    weight = nn.Parameter(torch.ones(5))
    weight.grad = torch.zeros(5)
    SOAP([weight], lr=1e-2).step()
    assert torch.equal(weight.detach(), torch.ones(5))
