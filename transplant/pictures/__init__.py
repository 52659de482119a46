"""Reports as pictures and pages: plots, heat maps, HTML, JUnit XML, and numbers as text.

A report goes in, bytes or text come out; nothing is measured here. matplotlib and jinja2, the extra
`plot`, are imported when something is drawn.
"""
