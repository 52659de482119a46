"""Notebooks as pages of the site: text as it is, code in fences, the file beside the page."""

from __future__ import annotations

import json
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NOTEBOOKS = Path(__file__).parents[1] / "examples"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds a page and the file of every notebook; called by mkdocs."""
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        source = notebook.read_text("utf-8")
        page = as_page(json.loads(source), notebook.name)
        files.append(File.generated(config, f"{notebook.stem}.md", content=page))
        files.append(File.generated(config, notebook.name, content=source))
    return files


def as_page(notebook: dict[str, list[dict[str, object]]], name: str) -> str:
    """A notebook as Markdown."""
    parts: list[str] = []
    for cell in notebook["cells"]:
        text = "".join(str(line) for line in cell["source"])  # pyright: ignore[reportGeneralTypeIssues]
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    parts.append(f"[The notebook itself]({name}); a test runs its cells.")
    return "\n\n".join(parts) + "\n"
