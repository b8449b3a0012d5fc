"""Exchange of predictions with others: import of entries computed elsewhere, export of ours.

`import_path` reads files and stores what they hold as immutable entries of a folder of results.
"""

from __future__ import annotations
