"""Pages in a headless browser, and what they would load."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from collections.abc import Sequence
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
    found = _asked_of_frames(
        "let e=f.contentDocument.documentElement;return e.scrollWidth-e.clientWidth", folder,
        [(f'srcdoc="{html.escape(page)}"', width) for width in across],
    )  # fmt: skip
    return [int(number) for number in found]


def scrolled_sideways(files: Sequence[Path], folder: Path, width: int) -> list[int]:
    """How many parts of each page, itself included, are cut and must be scrolled to be read."""
    found = _asked_of_frames(
        "return [...f.contentDocument.querySelectorAll('*')].filter(e=>"
        "e.clientWidth&&e.scrollWidth>e.clientWidth+1&&"
        "(e.localName=='html'||/auto|scroll/.test(f.contentWindow.getComputedStyle(e).overflowX))"
        ").length", folder, [(f'src="{file.as_uri()}"', width) for file in files],
    )  # fmt: skip
    return [int(number) for number in found]


def _asked_of_frames(question: str, folder: Path, frames: Sequence[tuple[str, int]]) -> list[str]:
    """What a line of JavaScript answers for each frame `f`, a page in a width."""
    shown = "".join(
        f'<iframe style="border:0;width:{width}px;height:800px" {page}></iframe>'
        for page, width in frames
    )
    script = (
        "onload=()=>document.title=[...document.querySelectorAll('iframe')].map(f=>{"
        f"{question}}}).join()"
    )
    file = folder / "frames.html"
    file.write_text(f"<!doctype html><title>none</title>{shown}<script>{script}</script>")
    words = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--allow-file-access-from-files", "--window-size=1600,1200",
        f"--user-data-dir={folder / 'profile'}", "--dump-dom",
    ]  # fmt: skip
    ran = subprocess.run(
        [*words, file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r"<title>([-\d,]+)</title>", ran.stdout)
    assert found, ran.stderr[-500:]
    return found[1].split(",")
