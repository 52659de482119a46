"""The studio: a registry and its runs in a browser, read-only.

Below `workflows`: what loads models comes in as `Actions`. starlette, jinja2 and uvicorn are
imported by the modules that need them, and by nothing that others import.
"""
