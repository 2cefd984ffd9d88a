"""Building blocks of the architectures: densities, bases, layers, standardisation, lattice kernels."""
