"""Pole expansion of the Fermi function with selected inversion."""
