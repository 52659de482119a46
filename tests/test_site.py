"""The site is built strictly, is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r"<(?:script|link|img|source|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*")


def elsewhere(page: str) -> list[str]:
    """What a page loads from another host."""
    return LOADED.findall(page)


def test_what_is_loaded_from_elsewhere_is_noticed():
    assert elsewhere('<script src="https://cdn.example/x.js">')
    assert not elsewhere('<a href="https://arxiv.org/abs/2401.08565"><script src="x.js">')


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path):
    for package in ("material", "mkdocstrings_handlers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package}, of the extra `docs`, is not installed")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    pages = {page.relative_to(tmp_path).as_posix(): page.read_text("utf-8")
             for page in tmp_path.rglob("*.html")}  # fmt: skip
    assert {name: elsewhere(page) for name, page in pages.items() if elsewhere(page)} == {}
    assert "move_tuned" in pages["reference/workspace.html"]
    assert "pair_on" in pages["first_look.html"]
    assert (tmp_path / "first_look.ipynb").is_file()
