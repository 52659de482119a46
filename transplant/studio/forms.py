"""Forms that a page sends: read whole, bounded, and nothing else than fields of text."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request

from transplant.errors import InputError

MAX_BODY = 1 << 16
MAX_FIELDS = 64
FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, list[str]]:
    """The values of each field.

    Raises:
        HTTPException: no form, too large, or not in UTF-8.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise HTTPException(415, "a form is expected")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"at most {MAX_BODY:,} bytes")
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def text_of(form: Mapping[str, list[str]], name: str) -> str:
    """The first value of a field; empty where there is none."""
    return form.get(name, [""])[0]


def count_of(form: Mapping[str, list[str]], name: str, most: int) -> int:
    """A whole number from 1 to `most`.

    Raises:
        InputError: anything else.
    """
    given = text_of(form, name)
    if not (given.isascii() and given.isdigit() and len(given) < 10 and 1 <= int(given) <= most):
        raise InputError(name, expected=f"1 to {most:,}", found=repr(given[:40]))
    return int(given)


def choice_of(given: str, known: tuple[str, ...] | list[str], what: str) -> str:
    """A value that is one of those that were offered.

    Raises:
        InputError: it is none of them.
    """
    if given not in known:
        raise InputError(what, expected="one that the page offers", found=repr(given[:80]))
    return given
