"""Electron diffraction of crystals by multislice: patterns, potentials and densities from physics.

    crystal = make_crystal(62, 0, seed=0)              # a label that spglib proves
    for stack in cbed_stacks(crystal, [100, 140]):     # (3, 64, 64) a stack, one for each energy
        ...
    made = scan(crystal, 100)                          # 8 x 8 patterns and what lies under them

It knows nothing of datasets; readers' samples are made with it. Method, constants, checks and what
is left out stand in docs/diffraction.md. Needs the extra `stemdl`.

    electrons, scattering     constants of the beam; how atoms scatter
    lattice, positions        cells and planes; orbits and points of a space group
    crystals, planes          crystals at random; which way the beam goes
    layers, multislice        an oblique cell, cut into slices; waves through it
    cbed, scans, targets      position-averaged stacks; coherent scans, and what lies under them
    picture                   patterns of several crystals, drawn
"""

from sciml_data.synthetic.diffraction.cbed import Stack as Stack
from sciml_data.synthetic.diffraction.cbed import cbed_stacks as cbed_stacks
from sciml_data.synthetic.diffraction.crystals import Crystal as Crystal
from sciml_data.synthetic.diffraction.crystals import NoCrystalError as NoCrystalError
from sciml_data.synthetic.diffraction.crystals import Site as Site
from sciml_data.synthetic.diffraction.crystals import make_crystal as make_crystal
from sciml_data.synthetic.diffraction.planes import Plane as Plane
from sciml_data.synthetic.diffraction.planes import strongest_planes as strongest_planes
from sciml_data.synthetic.diffraction.scans import Scan as Scan
from sciml_data.synthetic.diffraction.scans import scan as scan
