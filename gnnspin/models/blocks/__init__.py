"""What architectures share: densities, bases, layers, standardisation, lattice kernels."""
