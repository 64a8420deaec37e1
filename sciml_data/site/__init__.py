"""From registry and records to a static site: datasets, benchmarks, runs.

`gather` reads, `site_files` draws, `write_site` puts into a folder. Pages are plain files: no
server, no request to elsewhere, links that are relative.
"""

from __future__ import annotations

from sciml_data.site.build import Options, site_files, write_site
from sciml_data.site.material import Material, Run, gather

__all__ = ["Material", "Options", "Run", "gather", "site_files", "write_site"]
