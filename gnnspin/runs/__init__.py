"""Runs: what is begun, interrupted and gone on with owns its folder here."""
