"""Reports as tables: plain data that a terminal, a page, Markdown or a notebook shows.

One file for each kind of report; each takes a report as a workflow gives it. `str` of a table is
text, `to_markdown` Markdown, and a notebook shows it as HTML.
"""

from transplant.tables.table import Column, Sheet, Table

__all__ = ["Column", "Sheet", "Table"]
