"""Synthetic samples of plain HDF5 arrays; `native.sample.model` names the physical model.

models                dispatch by name, and how files are written
graphene              noisy images of an electron microscope, and the clean ones
multiple_scattering   diffuse scattering patterns of two crystal phases
water_clusters        clusters of water molecules and their energies
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
