from .metadata import to_invenio
from .publishing import (
    ZENODO,
    ZENODO_SANDBOX,
    Deposit,
    PublishingPlan,
    Repository,
    plan_publishing,
    publish_files,
)

__all__ = [
    "ZENODO",
    "ZENODO_SANDBOX",
    "Deposit",
    "PublishingPlan",
    "Repository",
    "plan_publishing",
    "publish_files",
    "to_invenio",
]
