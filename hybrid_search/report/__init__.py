"""The report of a search as one file: HTML that needs nothing else, or Markdown with its pictures beside it.

`report_data.py` reads everything from the ledger. The files `*_sections.py` make a `Report` of it, a value of plain
text, numbers and pictures. `html_page.py` and `markdown_page.py` write it; every text is escaped there.
"""

from hybrid_search.report.output import report_text, write_report

__all__ = ["report_text", "write_report"]
