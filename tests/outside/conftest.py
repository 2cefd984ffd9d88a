"""The package is imported by the processes of `test_outside` alone: here its names must stay unknown."""

collect_ignore = ["spinplus", "laws.py", "processes.py"]
