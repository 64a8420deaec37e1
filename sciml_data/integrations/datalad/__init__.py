"""DataLad mirrors of a registry: every file's name, size, hash and addresses, and no file.

choose        which versions of which datasets
keys          what git-annex holds a file by
content       the ordinary files beside the data
commit        a version as one commit, without a work tree
addresses     URLs, and a `web` remote for each mirror
subdataset    one dataset: versions as tags
superdataset  all of them: create, update
publish       for a static web server, or as a RIA store
clone         what a clone holds, held against the registry's manifest
"""

from sciml_data.integrations.datalad.choose import choose as choose
from sciml_data.integrations.datalad.choose import hashes_from as hashes_from
from sciml_data.integrations.datalad.clone import verify_clone as verify_clone
from sciml_data.integrations.datalad.publish import publish as publish
from sciml_data.integrations.datalad.superdataset import create as create
from sciml_data.integrations.datalad.superdataset import datasets_of as datasets_of
from sciml_data.integrations.datalad.superdataset import update as update
