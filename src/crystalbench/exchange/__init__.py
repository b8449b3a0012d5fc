"""Exchange of predictions with others: import of entries computed elsewhere, export of ours.

`importing.import_path` reads files and stores what they hold as immutable entries of a folder of results;
`exporting` writes the predictions of a complete entry in the formats of other leaderboards.
"""

from __future__ import annotations
