"""Electron diffraction of crystals by multislice: patterns, potentials and densities from physics.

    crystal = make_crystal(62, 0, seed=0)              # spglib confirms the space group
    for stack in cbed_stacks(crystal, [100, 140]):     # (3, 64, 64) a stack, one for each energy
        ...
    result = scan(crystal, 100)                        # 8 x 8 patterns and target images

The package does not know datasets; the samples of the STEMDL datasets use it. Method, constants,
checks and limits are in docs/explanation/diffraction.md. It needs the extra `stemdl`.

    scattering    constants of electrons, scattering factors of atoms
    crystals      random crystals of a space group
    layers        directions of the beam, crystals as layers along it
    multislice    waves through layers
    cbed          position-averaged patterns
    scans         coherent patterns of a scanned probe, and target images
    simulation    the crystals of a sample, by several processes
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
