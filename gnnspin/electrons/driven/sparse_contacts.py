"""Sparse Hamiltonian with leads attached: the parts of Green's functions that a steady state needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gnnspin.electrons.driven.leads import AttachedLead
from gnnspin.electrons.driven.slices import SliceRecursion
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.poles.pole_sums import CHUNK_BYTES, lattice_coordinates
from gnnspin.electrons.poles.selected_inverse import SelectedInverse

#: Time of a multiply-add in a nested dissection over that in the products of `SliceRecursion`.
_DISSECTION_WORK = 2.0


class SparseContacts:
    """Green's functions of one system between leads, for many energies and replicas at once.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
    rows : list of P tensors of int64
        Rows that each lead touches.
    widths : (P, D) float64 or None
        Diagonals of Gamma_p of wide-band leads.
    attached : sequence of P leads, or none
        Lattice leads; `widths` is then None.
    device : torch.device
    """

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        rows: Sequence[Tensor],
        widths: Tensor | None,
        attached: Sequence[AttachedLead],
        device: torch.device,
    ) -> None:
        self.hamiltonian, self.rows, self.widths, self.attached = hamiltonian, list(rows), widths, list(attached)
        self.device = device
        self._joined = [contact.cpu().numpy() for contact in rows] if attached else []
        self._recursions: dict[int, SliceRecursion] = {}
        total = torch.zeros(hamiltonian.n_spin_orbitals, device=device) if widths is None else widths.sum(0)
        self._damping = torch.diag_embed(-0.5j * total.to(torch.complex128).view(-1, 2))

    def on(self, device: torch.device | str) -> SparseContacts:
        """The same on another device; lattice leads stay where they were attached."""
        widths = None if self.widths is None else self.widths.to(device)
        rows = [each.to(device) for each in self.rows]
        return SparseContacts(self.hamiltonian, rows, widths, self.attached, torch.device(device))

    def recursion(self, lead: int) -> SliceRecursion:
        """Slices that begin at a lead."""
        if lead not in self._recursions:
            root = self.rows[lead].cpu().numpy()
            self._recursions[lead] = SliceRecursion(self.hamiltonian.one_body, root, self._joined, self.device)
        return self._recursions[lead]

    @cached_property
    def _dissection(self) -> SelectedInverse | None:
        """Nested dissection, where it needs less time than the slices of the narrowest lead."""
        if self._joined:
            return None
        sites, vertex = np.unique(self.hamiltonian.orbital_site, return_inverse=True)
        places = lattice_coordinates(self.hamiltonian)[sites]
        inverse = SelectedInverse(self.hamiltonian.one_body, vertex, places, self.device)
        return inverse if _DISSECTION_WORK * inverse.cost < self._shortest.work else None

    @property
    def work(self) -> float:
        """Complex multiply-adds of the diagonal blocks of one G, as fast as products of matrices."""
        return self._shortest.work if self._dissection is None else _DISSECTION_WORK * self._dissection.cost

    @cached_property
    def _shortest(self) -> SliceRecursion:
        return min((self.recursion(lead) for lead in range(len(self.rows))), key=lambda plan: plan.work)

    def exchange(self, spins: Tensor) -> Tensor:
        """Diagonal blocks of H, and of Sigma of wide-band leads, without K: (R, M, 2, 2) of spins (R, N, 3)."""
        return self.hamiltonian.unchecked_exchange_blocks(spins) + self._damping

    @cached_property
    def onsite(self) -> Tensor:
        """Diagonal blocks of K (M, 2, 2)."""
        matrix, even = self.hamiltonian.one_body, np.arange(0, self.hamiltonian.n_spin_orbitals, 2)
        entries = [[np.asarray(matrix[even + a, even + b]) for b in (0, 1)] for a in (0, 1)]
        return torch.from_numpy(np.array(entries, dtype=np.complex128)).permute(2, 0, 1).to(self.device)

    def together(self, lead: int, dtype: torch.dtype) -> int:
        """Energies that `injected` treats at once."""
        return self._chunk(self.recursion(lead).entries, dtype)

    def _chunk(self, entries: int, dtype: torch.dtype) -> int:
        return max(1, CHUNK_BYTES.get(self.device.type, CHUNK_BYTES["cuda"]) // (dtype.itemsize * entries))

    def _self_energies(self, energies: Tensor, dtype: torch.dtype) -> list[Tensor]:
        return [lead.self_energy(energies).to(dtype) for lead in self.attached]

    def green(self, exchange: Tensor, energies: Tensor) -> Tensor:
        """Diagonal blocks (B, M, 2, 2) of G.

        Parameters
        ----------
        exchange : (B, M, 2, 2)
            See `exchange`, one per energy; its precision is that of the algebra.
        energies : (B,) complex128
            In the upper half plane.
        """
        return torch.cat(
            [
                blocks
                for _, blocks in self._green_pieces(exchange, torch.arange(len(energies), device=self.device), energies)
            ]
        )

    def green_sum(self, exchange: Tensor, energies: Tensor, weights: Tensor) -> Tensor:
        """``sum_j weight_j G(z_j)``: diagonal blocks (R, M, 2, 2) complex128.

        Parameters
        ----------
        exchange : (R, M, 2, 2)
            See `exchange`; its precision is that of the algebra.
        energies, weights : (n,) complex128
            Points z_j in the upper half plane, and their weights.
        """
        replica = torch.arange(len(exchange), device=self.device).repeat_interleave(len(energies))
        scales = weights.repeat(len(exchange)).view(-1, 1, 1, 1)
        total = torch.zeros_like(exchange, dtype=torch.complex128)
        for members, blocks in self._green_pieces(exchange, replica, energies.repeat(len(exchange))):
            total.index_add_(0, replica[members], scales[members] * blocks.to(torch.complex128))
        return total

    def _green_pieces(self, exchange: Tensor, replica: Tensor, energies: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Diagonal blocks of G at energies (B,) of replicas (B,), as many at once as the memory allows."""
        dissection, plan = self._dissection, self._shortest
        size = self._chunk(plan.entries if dissection is None else dissection.entries(exchange.dtype), exchange.dtype)
        for start in range(0, len(energies), size):
            members = slice(start, start + size)
            shifts, own = energies[members].to(exchange.dtype), exchange[replica[members]]
            if dissection is None:
                yield members, plan.diagonal_blocks(shifts, own, self._self_energies(energies[members], exchange.dtype))
            else:
                blocks = dissection(shifts, own)[1]
                assert blocks is not None
                yield members, blocks

    def injected(self, lead: int, exchange: Tensor, energies: Tensor) -> tuple[Tensor, Tensor]:
        """Electrons that one lead injects: ``G Gamma_p G+`` at real energies, or at complex ones, which is smoother.

        Parameters
        ----------
        lead : int
            p.
        exchange : (B, M, 2, 2)
            See `exchange`, one per energy.
        energies : (B,) float64 or complex128
            Im z >= 0.

        Returns
        -------
        blocks : (B, M, 2, 2)
            Of ``G Gamma_p G+``.
        transmission : (B, P)
            ``Tr[Gamma_q G Gamma_p G+]`` to every lead q; 0 to itself.
        """
        plan, parts = self.recursion(lead), []
        size = self._chunk(plan.entries, exchange.dtype)
        for z, x in zip(energies.split(size), exchange.split(size), strict=True):
            parts.append(self._injected(plan, lead, x, z.to(torch.complex128)))
        blocks, transmission = (torch.cat(each) for each in zip(*parts, strict=True))
        transmission[:, lead] = 0
        return blocks, transmission

    def _injected(self, plan: SliceRecursion, lead: int, exchange: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        dtype = exchange.dtype
        if self.widths is not None:
            factor = torch.diag(self.widths[lead, self.rows[lead]].sqrt()).to(dtype)
            blocks, _ = plan.injected(z.to(dtype), exchange, factor)
            populations = blocks.diagonal(dim1=-2, dim2=-1).real.flatten(1)
            return blocks, populations.to(torch.float64) @ self.widths.mT
        sigmas = [energy.self_energy(z) for energy in self.attached]
        widths = [1j * (sigma - sigma.mH) for sigma in sigmas]
        values, vectors = torch.linalg.eigh(widths[lead])
        factor = (vectors * values.clamp(min=0).sqrt()[:, None]).to(dtype)
        blocks, ends = plan.injected(z.to(dtype), exchange, factor, [sigma.to(dtype) for sigma in sigmas])
        passed = [
            torch.einsum("bij,bjk,bik->b", width.to(dtype), end, end.conj()).real
            for width, end in zip(widths, ends, strict=True)
        ]
        return blocks, torch.stack(passed, 1).to(torch.float64)
