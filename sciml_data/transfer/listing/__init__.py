"""What mirrors list of a version whose files nobody has pinned: trust on first use.

The first listing that meets what the descriptor expects is kept beside the files. From then on it
is the one that counts: whatever a mirror lists otherwise later is an error that names the files.
"""

from sciml_data.transfer.listing.ask import Answer as Answer
from sciml_data.transfer.listing.choose import Survey as Survey
from sciml_data.transfer.listing.choose import survey as survey
from sciml_data.transfer.listing.expected import deviations as deviations
from sciml_data.transfer.listing.listing import ListedFile as ListedFile
from sciml_data.transfer.listing.listing import Listing as Listing
from sciml_data.transfer.listing.listing import read_listing as read_listing
