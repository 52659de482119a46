"""The site is built strictly, is whole, and loads nothing from elsewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pictures.browser import needs_chromium, scrolled_sideways

ROOT = Path(__file__).parents[1]
LOADED = re.compile(r"<(?:script|link|img|source|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^\"]*")


def elsewhere(page: str) -> list[str]:
    """What a page loads from another host."""
    return LOADED.findall(page)


def test_what_is_loaded_from_elsewhere_is_noticed():
    assert elsewhere('<script src="https://cdn.example/x.js">')
    assert not elsewhere('<a href="https://arxiv.org/abs/2401.08565"><script src="x.js">')


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    for package in ("material", "mkdocstrings_handlers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package}, of the extra `docs`, is not installed")
    folder = tmp_path_factory.mktemp("site")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", folder],
        cwd=ROOT, check=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    return folder


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(site):
    pages = {page.relative_to(site).as_posix(): page.read_text("utf-8")
             for page in site.rglob("*.html")}  # fmt: skip
    assert {name: elsewhere(page) for name, page in pages.items() if elsewhere(page)} == {}
    assert "move_tuned" in pages["reference/workspace.html"]
    assert "pair_on" in pages["first_look.html"]
    assert (site / "first_look.ipynb").is_file()


@needs_chromium
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_on_the_site_is_cut_at_the_edge(width, site, tmp_path):
    pages = sorted(site.rglob("*.html"))
    cut = scrolled_sideways(pages, tmp_path, width)
    assert {page.name: parts for page, parts in zip(pages, cut, strict=True) if parts} == {}
    long = tmp_path / "long.html"  # control
    long.write_text("<!doctype html><pre style='overflow:auto'>" + "word " * 400)
    assert scrolled_sideways([long], tmp_path, width) == [1]
