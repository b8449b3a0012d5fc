"""The static site: pages that read like a report, made from results alone.

`content` holds what the pages show, `pages` turns it into the values of a template, `charts` into figures, and
`writing` renders the files. Nothing is computed here that `crystalbench.evaluation` does not compute.
"""

from crystalbench.reports.site.content import Content, Facts, read_content
from crystalbench.reports.site.facts import facts_of
from crystalbench.reports.site.writing import write_site

__all__ = ["Content", "Facts", "facts_of", "read_content", "write_site"]
