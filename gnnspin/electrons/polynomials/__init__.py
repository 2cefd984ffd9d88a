"""The kernel polynomial method."""
