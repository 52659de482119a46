"""A page of HTML as PDF, through WeasyPrint, the extra `report`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from transplant.errors import TransplantError, foreign

HINT = "pip install 'abi-transplant[report]', and Pango by the system's package manager"


def require_weasyprint() -> None:
    """Refuses before the long work where the PDF could not be written after it.

    Raises:
        TransplantError: WeasyPrint, or the library Pango that it draws text with, is not there.
    """
    if find_spec("weasyprint") is None:
        raise TransplantError("a PDF needs weasyprint", hint=HINT)
    with foreign("weasyprint cannot be used", TransplantError, hint=HINT):
        import weasyprint  # noqa: F401


def as_pdf(page: str) -> bytes:
    """The page on A4, light; nothing is fetched for it.

    Raises:
        TransplantError: WeasyPrint cannot be used, or cannot draw the page.
    """
    require_weasyprint()
    with foreign("the PDF cannot be drawn", TransplantError):
        import weasyprint
        from weasyprint.urls import FatalURLFetchingError, URLFetcher

        class OwnData(URLFetcher):
            """No address is fetched: what the page shows is in it."""

            def fetch(self, url: str, headers: Any = None) -> Any:
                if not url.startswith("data:"):
                    raise FatalURLFetchingError(f"the page refers to {url[:80]}")
                return super().fetch(url, headers)

        written: Any = weasyprint.HTML(string=page, url_fetcher=OwnData()).write_pdf()
    return bytes(written)
