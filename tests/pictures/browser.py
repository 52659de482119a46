"""Pages in a headless browser, and what they would load."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
LOADED = re.compile(
    r"""(?:\b(?:src|srcset|href|xlink:href|poster|data|action)\s*=\s*["']?|url\(\s*["']?|@import\s*["'])"""
    r"""(?!\#|data:)[^"'\s)>]+|<(?:link|script|iframe|object|embed|base)\b""",
    re.IGNORECASE,
)
"""An attribute or a rule of CSS that leads anywhere but into the page itself."""


def loaded_by(page: str) -> list[str]:
    """What a page would fetch, or lead to."""
    return LOADED.findall(page)


def widths(page: str, folder: Path, *across: int) -> list[int]:
    """By how many pixels a page is wider than a window, of each width."""
    frames = "".join(
        f'<iframe style="border:0;width:{width}px;height:800px" srcdoc="{html.escape(page)}">'
        "</iframe>"
        for width in across
    )
    script = (
        "onload=()=>document.title=[...document.querySelectorAll('iframe')].map(f=>{"
        "let e=f.contentDocument.documentElement;return e.scrollWidth-e.clientWidth}).join()"
    )
    file = folder / "frames.html"
    file.write_text(f"<!doctype html><title>none</title>{frames}<script>{script}</script>")
    words = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--window-size=1600,1200", f"--user-data-dir={folder / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    ran = subprocess.run(
        [*words, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r"<title>([-\d,]+)</title>", ran.stdout)
    assert found, ran.stderr[-500:]
    return [int(number) for number in found[1].split(",")]
