"""Verbs that are killed at a file operation or at a moment, and what the next run makes of it."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry import Registry
from tests.damage.flips import Facts, file_facts
from tests.damage.scene import STOPPED, STORED, TRAIN, Scene, frequent_checkpoints, restore
from transplant.errors import TransplantError

_NOTED = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")
_SHORT = ("--data", "{base}/tales", "--excerpts", "20")
_MOVE = ("--module", "tales@tiny-gpt2", "--to", "tiny-llama", *_SHORT)

VERBS: dict[str, tuple[str, ...]] = {
    "train": (*STOPPED["train"], "--name", "killed"),
    "train inside a core": ("train", "--backbone", "other", "--form", "lite", "--domain", "tales",
                            "--data", "{base}/tales", *TRAIN[:8], "--steps", "2"),
    "transfer": ("transfer", *_MOVE, "--eval-tokens", "200"),
    "calibrate": ("calibrate", *_MOVE),
    "paste": ("paste", "--from", "2M-tales", "--to", "other", "--name", "again"),
    "paste --out": ("paste", "--from", "2M-tales", "--to", "other", "--out", "{base}/out/core"),
    "capture": (*STORED["capture"][:-3], "{base}/again.h5", *STORED["capture"][-2:]),
    "fuse": (*STORED["fusion"], "--name", "again"),
    "embed-init": ("embed-init", "--from", "tiny-llama", "--to", "tiny-gpt2", "--data",
                   "{base}/tales", "--eval-tokens", "200", "--method", "decompose"),
    "train-core": (*STOPPED["train-core"], "--name", "killed-core"),
    "add": ("add", "{base}/mine", "--name", "mine"),
    "add --copy": ("add", "{base}/mine", "--name", "mine", "--copy"),
    "add of a GGUF file": ("add", "{base}/tiny.gguf", "--name", "unpacked"),
}  # fmt: skip
"""What is killed."""

_CACHES = ("registry/.checked.json", "registry/.claims/")
_VARIES = "made/options/resume"

RESUMES = {
    "train": "registry/.runs/killed@*.safetensors",
    "train-core": "registry/.runs/killed-core*.safetensors",
    "capture": "again.h5",
    "train inside a core": "registry/.runs/other-tales*.safetensors",
}  # fmt: skip
"""Where what can be resumed is found, by verb."""


@dataclass(frozen=True)
class Kill:
    """When a verb ends: before its `operation`th file operation, or after some seconds."""

    operation: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Trial:
    """What came of one kill."""

    verb: str
    kill: Kill
    killed: bool
    resumed: bool
    faults: tuple[str, ...]


def run_apart(work: Callable[[], int], seconds: float | None = None) -> int:
    """Runs in a child of its own group; its exit code, or minus the signal that ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.setsid()
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = work()
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)  # not yet waited for: the number is still the child's
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def count_operations(base: Path, stop_before: int | None, report: Path | None = None) -> None:
    """Counts the file operations of this process below `base`, and ends it before one of them."""
    seen = 0
    inside = str(base)

    def note(*_: object) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_before:
            os.kill(os.getpid(), signal.SIGKILL)
        if report is not None:
            os.pwrite(handle, f"{seen}".encode(), 0)

    def hook(event: str, found: tuple[Any, ...]) -> None:
        if event not in _NOTED or not str(found[0]).startswith(inside):
            return
        writes = event != "open" or (isinstance(found[2], int) and found[2] & os.O_ACCMODE)
        if writes:
            note()

    handle = os.open(report, os.O_WRONLY | os.O_CREAT) if report else -1
    for name in ("fsync", "fdatasync"):
        plain = getattr(os, name)
        setattr(os, name, lambda number, plain=plain: (note(), plain(number))[1])
    sys.addaudithook(hook)


def _facts(scene: Scene) -> Facts:
    """What lies in the scene, but for caches, claims, and whether a run was resumed."""
    facts = file_facts(scene)
    return {k: v for k, v in facts.items() if not k.startswith(_CACHES) and _VARIES not in k}


class Killing:
    """One verb on one scene: what it leaves when left alone, and after each kill."""

    def __init__(self, scene: Scene, kept: Path, verb: str) -> None:
        self.scene, self.kept, self.verb = scene, kept, verb
        report = scene.base.with_name("operations")
        states = []
        for _ in range(2):
            restore(scene, kept)
            report.unlink(missing_ok=True)
            begin = time.perf_counter()
            code = run_apart(lambda: self._run(VERBS[verb], report=report))
            self.seconds = time.perf_counter() - begin
            if code not in (0, 3):
                raise AssertionError(f"{verb} does not run: exit {code}")
            self.operations = int(report.read_text())
            states.append(_facts(scene))
        self.files = {name.split("//")[0] for name in states[0]}
        self.clean = {k: v for k, v in states[0].items() if states[1].get(k) == v}

    def _run(self, words: tuple[str, ...], **counting: Any) -> int:
        if counting:
            count_operations(self.scene.base, counting.get("stop_before"), counting.get("report"))
        with frequent_checkpoints():
            ran = self.scene(*words)
        if ran.raised:
            return 71
        exists = ran.code == 1 and (ran.json or {}).get("error") == "ExistsError"
        return 72 if exists else ran.code

    def moments(self, count: int, seed: int = 0) -> list[Kill]:
        """`count` drawn moments, and as many file operations or all that there are."""
        draw = random.Random(f"{seed} {self.verb}")
        numbers = range(1, self.operations + 1)
        chosen = sorted(draw.sample(numbers, min(count, len(numbers))))
        timed = [Kill(seconds=draw.random() * self.seconds) for _ in range(count)]
        return [*(Kill(operation=number) for number in chosen), *timed]

    def trial(self, kill: Kill) -> Trial:
        """Kills, looks at what is listed, runs again, and compares every file."""
        restore(self.scene, self.kept)
        words = VERBS[self.verb]
        if kill.operation is None:
            code = run_apart(lambda: self._run(words), kill.seconds)
        else:
            code = run_apart(lambda: self._run(words, stop_before=kill.operation))
        faults = [*self._listed()]
        resumable = [*self.scene.base.glob(RESUMES.get(self.verb, "nothing"))]
        again = (*words, "--resume") if resumable else words
        code_again = run_apart(lambda: self._run(again))
        if code_again not in (0, 3, 72):
            faults.append(f"the next run exits {code_again}")
        state = _facts(self.scene)
        names = {name.split("//")[0] for name in state}
        faults += [f"left behind: {name}" for name in sorted(names - self.files)]
        faults += [f"missing: {name}" for name in sorted(self.files - names)]
        wrong = sorted(k for k, v in self.clean.items() if k in state and state[k] != v)
        if wrong:
            faults.append(f"{len(wrong)} differ: {', '.join(wrong[:3])}")
        return Trial(self.verb, kill, code == -signal.SIGKILL, bool(resumable), tuple(faults))

    def _listed(self) -> list[str]:
        registry = Registry(self.scene.root)
        faults = [f"listed as broken: {problem}" for problem in registry.problems()]
        for entry in registry.entries():
            if entry.shipped:
                continue
            try:
                registry.verify(entry)
            except TransplantError as error:
                faults.append(f"listed half-written: {error}")
        return faults
