"""Steady states between leads: nonequilibrium Green's functions."""
