"""A package beside gnnspin: it adds one object of every kind that files and configurations can name."""
