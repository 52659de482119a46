"""Files of a job: where they go is looked at before the work, from Python too."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from transplant.basis.config import AllocateConfig
from transplant.errors import InputError, StorageError
from transplant.evidence.analyze.job import run_analyze
from transplant.evidence.analyze.spec import AnalyzeJob
from transplant.evidence.trace.job import run_trace
from transplant.evidence.trace.spec import TraceJob
from transplant.workflows.basis.allocate import run_allocate
from transplant.workflows.basis.spec import AllocateJob
from transplant.workflows.out_folder import with_files


class Untouched:
    """Work that says when it begins."""

    def __getattr__(self, name: str) -> Any:
        raise LookupError("the work began")


def trace(out: Path | None) -> Any:
    return run_trace(Untouched(), TraceJob(model="m", out=out))  # pyright: ignore[reportArgumentType]


def analyze(out: Path | None) -> Any:
    job = AnalyzeJob(bank="b", activations=Path("a.h5"), out=out)
    return run_analyze(Untouched(), job)  # pyright: ignore[reportArgumentType]


def allocate(out: Path | None) -> Any:
    job = AllocateJob(name="b@m", config=AllocateConfig(budget=100), out=out)
    return run_allocate(Untouched(), job)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("run", [trace, analyze, allocate])
def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(
    tmp_path: Path, run: Callable[[Path | None], Any]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        run(tmp_path / "file" / "inside")
    with pytest.raises(LookupError, match="the work began"):
        run(None)


@pytest.mark.parametrize("run", [trace, allocate])
def test_a_full_disk_is_refused_before_the_work(
    tmp_path: Path, run: Callable[[Path | None], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LookupError, match="the work began"):  # control
        run(tmp_path / "new")
    left = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: left)
    with pytest.raises(StorageError, match=r"too full: expected 1,048,576 bytes free.*`out`"):
        run(tmp_path / "new")


def test_a_report_names_its_files_only_where_some_were_asked_for(tmp_path: Path) -> None:
    def write(folder: Path, report: dict[str, Any]) -> list[str]:
        return [str(folder / f"{report['n']}.json")]

    assert with_files({"n": 1}, tmp_path, write) == {"n": 1, "files": [str(tmp_path / "1.json")]}
    assert with_files({"n": 1}, None, write) == {"n": 1}
