"""Hopping rules: where electrons hop, with which amplitude."""
