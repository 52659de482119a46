"""A call of Python that fails gives its names back: the process goes on, as a notebook's does."""

from __future__ import annotations

from pathlib import Path

import pytest

import transplant
from registry import Registry, claims
from transplant.workflows.work import Work

HELD = "held"


def locks(root: Path) -> set[str]:
    return {file.name for file in (root / claims.FOLDER).glob("*.lock")}


CALLS = {
    "train": lambda work: work.train("b", "tales"),
    "fit_basis": lambda work: work.fit_basis("b", "tales", name="tales"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("ends", [RuntimeError, KeyboardInterrupt])
def test_what_a_failed_call_took_is_free_and_what_was_had_before_is_not(
    tmp_path, monkeypatch, call, ends
):
    library = Registry(tmp_path, reference=tmp_path / "none")
    library.claim(("bank",), HELD, "b", None)
    before, during = locks(tmp_path), set()

    def fail(*_: object, **__: object) -> None:
        during.update(locks(tmp_path))
        raise ends

    monkeypatch.setattr(Work, "backbone", fail)
    monkeypatch.setattr(Work, "check_there", lambda *_, **__: None)
    with pytest.raises(ends):
        CALLS[call](transplant.Workspace(library=library))
    assert during > before, "control: the name was taken"
    assert locks(tmp_path) == before
    library.release()


def test_an_attempt_inside_another_ends_with_it(tmp_path):
    library = Registry(tmp_path, reference=tmp_path / "none")

    def go() -> None:
        with library.attempt():
            with library.attempt():
                library.claim(("bank",), "inner", "b", None)
            assert len(locks(tmp_path)) == 1  # control: the inner one went well
            raise RuntimeError

    with pytest.raises(RuntimeError):
        go()
    assert locks(tmp_path) == set()
    with library.attempt():
        library.claim(("bank",), "kept", "b", None)
    assert len(locks(tmp_path)) == 1
    library.release()
