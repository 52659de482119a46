"""A paste that fails leaves everything as it was."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.paste.pasted import UP, MakeCore, load_core, tree
from transplant.errors import CorruptError, ExistsError, InputError, StorageError
from transplant.paste.paste import paste, plan_paste


@pytest.mark.parametrize(
    ("raised", "caught", "message"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(errno.ENOSPC, "no space"), StorageError, "is full: expected [0-9,]+ bytes"),
        (OSError(errno.EACCES, "no"), StorageError, "cannot write"),
    ],
)
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("replace_out", [True, False])
def test_interrupted_copy_leaves_what_was_there(
    shards: int,
    replace_out: bool,
    raised: BaseException,
    caught: type[BaseException],
    message: str | None,
    make_core: MakeCore,
    tmp_path: Path,
) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target", shards=shards))
    out = make_core("out") if replace_out else tmp_path / "new" / "out"
    before = tree(tmp_path)

    def stop(done: int, total: int, _: str) -> None:
        if done > total // 2:
            assert list(out.parent.glob(".out.partial/*"))  # control: it was under way
            raise raised

    with pytest.raises(caught, match=message):
        paste(plan, out, replace_out=replace_out, progress=stop)
    assert tree(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"source", "target", "out"}


def test_out_is_replaced_only_where_asked_and_safe(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    plan = plan_paste(source, target)
    before = tree(tmp_path)
    with pytest.raises(ExistsError, match="replace=True"):
        paste(plan, target)
    with pytest.raises(InputError, match=r"a folder with a config.json"):
        paste(plan, tmp_path, replace_out=True)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is in it"):
        paste(plan, tmp_path, replace_out=True)
    (tmp_path / "config.json").unlink()
    assert tree(tmp_path) == before
    paste(plan, target, replace_out=True)
    assert UP in load_core(target)
    assert not list(tmp_path.glob(".*"))


def test_folder_of_another_paste_is_left_alone(make_core: MakeCore, tmp_path: Path) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    (tmp_path / ".out.partial").mkdir()
    with pytest.raises(StorageError, match=r"rm -r .*\.out\.partial"):
        paste(plan, tmp_path / "out")
    assert (tmp_path / ".out.partial").is_dir()


def test_change_since_the_plan_is_noticed(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    plan = plan_paste(source, target)
    file = source / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[plan.modules[0].tensors[-1].span.begin] ^= 1
    file.write_bytes(data)
    with pytest.raises(CorruptError, match="changed since"):
        paste(plan, tmp_path / "out")
    os.utime(target / "config.json", (1, 1))
    with pytest.raises(StorageError, match="was changed"):
        paste(plan_paste_before(plan), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def plan_paste_before(plan: Any) -> Any:
    """The same plan with the source as it is now, the target as it was."""
    fresh = plan_paste(plan.source.path, plan.target.path)
    return type(fresh)(fresh.source, plan.target, fresh.modules, fresh.dtype)


def killed_after(part: float) -> Callable[[int, int, str], None]:
    """Ends this process once more than that part is copied."""

    def stop(done: int, total: int, _: str) -> None:
        if done > part * total:
            os.kill(os.getpid(), signal.SIGKILL)

    return stop


@pytest.mark.parametrize("replace_out", [True, False])
def test_paste_that_was_killed_is_no_hindrance_to_the_next(
    replace_out: bool, make_core: MakeCore, tmp_path: Path
) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    out = make_core("out") if replace_out else tmp_path / "out"
    before = tree(tmp_path)
    for place in (0, 1, 2):
        child = os.fork()
        if child == 0:
            paste(plan, out, replace_out=replace_out, progress=killed_after(place / 3))
            os._exit(1)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert (tmp_path / ".out.partial").is_dir()  # control: it was at work
        assert {name: data for name, data in tree(tmp_path).items() if name in before} == before
    paste(plan, out, replace_out=replace_out)
    assert UP in load_core(out)
    assert not list(tmp_path.glob(".*"))


def test_target_that_a_killed_paste_had_moved_away_comes_back(
    make_core: MakeCore, tmp_path: Path
) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))
    out = make_core("out")
    before = tree(tmp_path)
    out.rename(tmp_path / ".out.old")
    (tmp_path / ".out.partial").mkdir()
    (tmp_path / ".out.partial.lock").touch()
    with pytest.raises(ExistsError):
        paste(plan, out)
    assert tree(tmp_path) == before


def test_living_paste_is_left_alone(make_core: MakeCore, tmp_path: Path) -> None:
    plan = plan_paste(make_core("source", ["python"]), make_core("target"))

    def second(*_: object) -> None:
        with pytest.raises(StorageError, match="in the way"):
            paste(plan, tmp_path / "out")
        assert (tmp_path / ".out.partial").is_dir()

    paste(plan, tmp_path / "out", progress=second)
    assert UP in load_core(tmp_path / "out")
