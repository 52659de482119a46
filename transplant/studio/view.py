"""The templates of the studio's pages, and the small things that all of them need."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from transplant.studio.evidence import bounds_of, place
from transplant.studio.setting import studio_of

TEMPLATES = Path(__file__).with_name("templates")
STYLE = (TEMPLATES / "studio.css").read_bytes()
ICON = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" '
    b'rx="3" fill="#1f6f5c"/><path d="M3 5h6v6H3zM9 8h4" stroke="#fff" fill="none"/></svg>'
)
ROW, LONG = 400, 300
"""Rows of a table and characters of a value that are shown."""


def page(request: Request, name: str, status: int = 200, **context: Any) -> Response:
    """A page from its template, `name` without its ending."""
    studio = studio_of(request)
    text = _environment.get_template(f"{name}.html.jinja").render(
        here=request.url.path, studio=studio, typed=studio.typed, **context
    )
    return HTMLResponse(text, status)


def address(path: str, **query: object) -> str:
    """A link within the studio."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def number(value: Any, digits: int = 3) -> str:
    """A measured number; nothing where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)[:LONG]
    if not math.isfinite(value):
        return str(value)
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:.{digits}f}" if 1e-3 <= abs(value) < 1e6 else f"{value:.3g}"


def short(sha256: str) -> str:
    """The beginning of a hash."""
    return sha256[:12]


def is_plain(value: Any) -> bool:
    """Whether a value of JSON fits into one cell."""
    if isinstance(value, list):
        return len(value) <= 8 and all(not isinstance(one, list | dict) for one in value)
    return not isinstance(value, dict)


def cell(value: Any) -> str:
    """A plain value as text."""
    if isinstance(value, list):
        return ", ".join(map(cell, value))
    if value is None:
        return "none"
    return number(value) if isinstance(value, int | float) else str(value)[:LONG]


def columns_of(rows: Any) -> list[str]:
    """The columns of a list of objects, if it is one that a table can show."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, Mapping) for row in rows):
        return []
    found = [*dict.fromkeys(key for row in rows[:ROW] for key in row)]
    return [key for key in found if all(is_plain(row.get(key)) for row in rows[:ROW])][:12]


_environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
    lstrip_blocks=True, undefined=jinja2.StrictUndefined,
)  # fmt: skip
_environment.globals |= {
    "address": address, "number": number, "short": short, "is_plain": is_plain, "cell": cell,
    "columns_of": columns_of, "bounds_of": bounds_of, "place": place, "ROW": ROW,
}  # fmt: skip
