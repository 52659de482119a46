"""Pages of HTML from templates: one file each that needs nothing else."""

from __future__ import annotations

import base64
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from transplant.errors import TransplantError
from transplant.tables.words import Words, as_html

TEMPLATES = Path(__file__).with_name("templates")


def require_plotting() -> None:
    """Refuses before the long work where the page could not be written after it.

    Raises:
        TransplantError: the extra `plot` is not installed.
    """
    if not all(find_spec(name) for name in ("jinja2", "matplotlib")):
        raise TransplantError(
            "the page needs matplotlib and jinja2", hint="pip install 'abi-transplant[plot]'"
        )


def fill(template: str, **values: Any) -> str:
    """The page of a template, what is put in escaped.

    Args:
        template: its file in `templates/`, without `.html.jinja`.
        values: what it names.
    """
    import jinja2
    from markupsafe import Markup

    def words(shown: Words) -> Markup:
        return Markup(as_html(shown))

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters["words"] = words
    return environment.get_template(f"{template}.html.jinja").render(**values)


def as_source(picture: bytes) -> str:
    """A PNG as the `src` of an `<img>`: the picture itself, no request."""
    return "data:image/png;base64," + base64.b64encode(picture).decode()
