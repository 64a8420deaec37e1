from .clone import Clone, verify_clone
from .mirror import (
    HashLookup,
    check_is_mirror,
    create_mirror,
    mirror_datasets,
    no_hashes,
    select_versions,
    sha256_from_home,
    update_mirror,
)
from .publishing import PublishedRepository, publish_mirror

__all__ = [
    "Clone",
    "HashLookup",
    "PublishedRepository",
    "check_is_mirror",
    "create_mirror",
    "mirror_datasets",
    "no_hashes",
    "publish_mirror",
    "select_versions",
    "sha256_from_home",
    "update_mirror",
    "verify_clone",
]
