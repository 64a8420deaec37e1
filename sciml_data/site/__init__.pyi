from .build import SiteOptions, site_files, write_site
from .content import Content, Run, gather

__all__ = ["Content", "Run", "SiteOptions", "gather", "site_files", "write_site"]
