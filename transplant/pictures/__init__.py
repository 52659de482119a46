"""Reports as pictures and pages: plots, heat maps, HTML and JUnit XML.

A report goes in, bytes or text come out; nothing is measured here. matplotlib and jinja2, the extra
`plot`, are imported when something is drawn.
"""
