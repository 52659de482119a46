"""Pages from templates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from transplant.pictures import page

LOADED = """
import sys
from importlib import import_module
from pathlib import Path
for file in sorted(Path("transplant/pictures").glob("*.py")):
    import_module(f"transplant.pictures.{file.stem}")
heavy = {"matplotlib", "jinja2", "weasyprint", "torch", "transformers", "typer", "rich"}
print(*sorted(heavy & sys.modules.keys()))
"""


@pytest.fixture
def templates(tmp_path, monkeypatch):
    pytest.importorskip("jinja2")
    monkeypatch.setattr(page, "TEMPLATES", tmp_path)
    return tmp_path


def test_what_is_put_in_is_escaped(templates):
    (templates / "one.html.jinja").write_text("<p>{{ said }}</p>")
    assert page.fill("one", said="<script>&") == "<p>&lt;script&gt;&amp;</p>"


def test_what_a_template_names_and_is_not_given_is_no_empty_text(templates):
    import jinja2

    (templates / "one.html.jinja").write_text("{{ report.missing }}")
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        page.fill("one", report={"there": 1})


def test_pictures_import_what_draws_when_they_draw():
    root = Path(__file__).parents[2]
    ran = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=root, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
