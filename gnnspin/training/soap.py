"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class SOAP(torch.optim.Optimizer):
    r"""Adam run in a slowly rotating basis in which the gradients of a matrix are decorrelated.

    For a parameter W of shape (a, b) with gradient G, the averages of :math:`G G^T` and :math:`G^T G` have eigenvectors
    :math:`Q_L, Q_R`; Adam acts on :math:`Q_L^T G Q_R` and its step is rotated back. Tensors of more dimensions are
    matrices of their first against all others, vectors are rows. Vyas et al., arXiv:2409.11321, algorithm 3.

    Parameters
    ----------
    parameters : iterable
    lr : float
    betas : (float, float)
        Decay of the averages of the gradient, and of its square and the preconditioner.
    weight_decay : float
        Decoupled, as in AdamW.
    eps : float
    basis_every : int
        Steps between updates of the eigenvectors (one power iteration and a QR decomposition).
    largest_side : int
        Sides longer than this are not rotated.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        basis_every: int = 10,
        largest_side: int = 1024,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "eps": eps}
        super().__init__(parameters, defaults)
        self.basis_every, self.largest_side = basis_every, largest_side

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad.reshape(parameter.shape[0] if parameter.ndim > 1 else 1, -1)  # type: ignore[union-attr]
        state, (beta_1, beta_2) = self.state[parameter], group["betas"]
        if not state:
            state.update(step=0, mean=torch.zeros_like(gradient), square=torch.zeros_like(gradient))
            for side, size in zip("LR", gradient.shape, strict=True):
                if 1 < size <= self.largest_side:
                    covariance = _covariance(gradient, side)
                    state[side], state["Q" + side] = covariance, _eigenvectors(covariance)
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - beta_1)
        rotated = _rotate(gradient, state)
        state["square"].mul_(beta_2).addcmul_(rotated, rotated, value=1 - beta_2)
        size = (state["square"] / (1 - beta_2 ** state["step"])).sqrt() + group["eps"]
        step = _rotate(_rotate(state["mean"], state) / size, state, back=True) / (1 - beta_1 ** state["step"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(group["lr"] * step.reshape(parameter.shape))
        for side in "LR":
            if side in state:
                state[side].lerp_(_covariance(gradient, side), 1 - beta_2)
                if state["step"] % self.basis_every == 0:
                    _turn_basis(state, side)


def _covariance(gradient: Tensor, side: str) -> Tensor:
    return gradient @ gradient.T if side == "L" else gradient.T @ gradient


def _eigenvectors(covariance: Tensor) -> Tensor:
    """Eigenvectors in descending order of their eigenvalues; in float64 where squares of the gradient underflow."""
    try:
        vectors = torch.linalg.eigh(covariance)[1]
        fails = not bool(torch.isfinite(vectors).all())
    except torch.linalg.LinAlgError:
        fails = True
    if fails:
        scaled = covariance.to(torch.float64) / float(covariance.abs().amax())
        vectors = torch.linalg.eigh(scaled)[1].to(covariance.dtype)
    return vectors.flip(1)


def _rotate(matrix: Tensor, state: dict[str, Any], *, back: bool = False) -> Tensor:
    """Matrix in the basis of the eigenvectors, or `back` from it."""
    if "L" in state:
        matrix = (state["QL"] if back else state["QL"].T) @ matrix
    if "R" in state:
        matrix = matrix @ (state["QR"].T if back else state["QR"])
    return matrix


def _turn_basis(state: dict[str, Any], side: str) -> None:
    """One power iteration of the eigenvectors, in descending order of their eigenvalues."""
    basis = state["Q" + side]
    order = (basis * (state[side] @ basis)).sum(0).argsort(descending=True)
    state["square"] = state["square"][order] if side == "L" else state["square"][:, order]
    state["Q" + side] = torch.linalg.qr(state[side] @ basis[:, order])[0]
