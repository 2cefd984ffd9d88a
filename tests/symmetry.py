"""The permutations live in the package; this name goes as soon as nothing imports it."""

from gnnspin.testing.permutations import orthogonal_matrices, permutation, site_symmetries, translations

__all__ = ["orthogonal_matrices", "permutation", "site_symmetries", "translations"]
