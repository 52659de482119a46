"""A studio on the shipped registry, whose models are never loaded, and a client of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from registry.store import Registry
from transplant.studio.access import Access
from transplant.studio.app import build_app
from transplant.studio.config import StudioConfig
from transplant.studio.desk import Desk, Task
from transplant.studio.runs import Runs
from transplant.studio.setting import Studio

RESULTS = Path(__file__).parents[2] / "examples" / "results"
PORT = 8471
OWN = {"origin": f"http://127.0.0.1:{PORT}"}
SECRET = "what stands outside of the registry"
MOVED = "python-shipped-from-ref-gpt2@ref-llama/d128"


@dataclass
class Told:
    """Actions that tell what they were asked."""

    asked: list[dict[str, Any]] = field(default_factory=list)

    def generate(self, task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
        task.note("at work")
        self.asked.append(dict(asked))
        texts = [
            {"name": one.name, "role": one.role, "text": "<b>x</b>", "tokens": 1, "seconds": 0.1}
            for one in asked["systems"]
        ]
        return {"texts": texts}

    def advise(self, task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
        task.note("at work")
        self.asked.append(dict(asked))
        return {}


@dataclass
class Shown:
    """A studio, the client of its pages, and what nobody expected."""

    studio: Studio
    client: TestClient
    faults: list[Exception]


def show(root: Path, runs: Path | None = None, *, bound: str = "127.0.0.1") -> Shown:
    """A studio that listens nowhere."""
    faults: list[Exception] = []
    studio = Studio(
        library=Registry(root), config=StudioConfig(), actions=Told(), desk=Desk(60),
        runs=Runs([] if runs is None else [runs]),
    )  # fmt: skip
    access = Access.to(bound, bound, PORT)
    app = build_app(studio, access, faults.append)
    client = TestClient(app, f"http://{bound}:{PORT}", follow_redirects=False)
    return Shown(studio, client, faults)


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Iterator[Shown]:
    """A studio on the shipped artifacts and on runs of each kind."""
    folder = tmp_path_factory.mktemp("studio")
    (folder / "secret.json").write_text(json.dumps(SECRET))
    (folder / "runs").mkdir()
    for name in ("curve-ref-gpt2-ref-llama", "transfer", "ablate-objectives-ref-gpt2-ref-llama"):
        (folder / "runs" / f"{name}.json").write_bytes((RESULTS / f"{name}.json").read_bytes())
    (folder / "runs" / "link.json").symlink_to(folder / "secret.json")
    made = show(folder / "registry", folder / "runs")
    yield made
    made.studio.desk.close()
