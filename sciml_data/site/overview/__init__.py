"""Overview pictures: what a sample of a dataset looks like, in one page-wide figure.

    descriptor = load_descriptor(find_registry(), "uno_ccle")
    picture = draw_overview(find_ready_parts(descriptor, find_home(), is_made=True))
    Path("overview.webp").write_bytes(picture.content)

A figure has a few panels with titles and units. It is drawn from the ready files in the home, or
from the synthetic sample, and then says SYNTHETIC. Which panels are drawn follows from the
variables of the dataset, so that a dataset of another registry has an overview too.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
