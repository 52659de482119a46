"""Mutated inputs, and the verbs that read them; a run worked, gave a named error or a fault."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tests.damage.scene import CHUNKS, STORED, TEXTS, Scene
from tests.fuzz.mutations import mutated_bytes, mutated_header, mutated_json
from tests.surgery.lora.folders import write_folder
from tests.tiny_registry import put_backbones, put_corpus

SECONDS = 10  # of one run
PROJECT = Path(__file__).parents[2]
MODULE = "registry/tiny-gpt2/d8/module/tales"
SHOW = ("show", "tales@tiny-gpt2", "--verify")
FOLDER = ("extract", "--backbone", "{base}/model", "--name", "again", "--components", "ffn")
IMPORT = ("adapters", "--import", "{base}/law", "--to", "tiny-gpt2", "--name", "again")
NIB = ("nib", "--anchor", "tiny-gpt2", "--candidate", "tiny-gpt2", *CHUNKS, "--data")
TABLE = b'id,text\r\n1,"a ""quoted"" word"\r\n2,plain\r\n'
Mutate = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """A kind of input: its file, how it is changed, and the verbs that read it."""

    file: str
    mutate: Mutate
    verbs: tuple[tuple[str, ...], ...]


TARGETS = {
    "manifest": Target(f"{MODULE}/manifest.json", mutated_json, (SHOW, ("list",))),
    "config": Target("model/config.json", mutated_json, (FOLDER,)),
    "tokenizer": Target("model/tokenizer.json", mutated_json, (FOLDER,)),
    "tokenizer_config": Target("model/tokenizer_config.json", mutated_json, (FOLDER,)),
    "adapter": Target("law/adapter_config.json", mutated_json, (IMPORT, (*IMPORT, "--merge"))),
    "adapter weights": Target("law/adapter_model.safetensors", mutated_header, (IMPORT,)),
    "jsonl": Target("text.jsonl", mutated_bytes, ((*NIB, "{base}/text.jsonl"),)),
    "json": Target("text.json", mutated_json, ((*NIB, "{base}/text.json"),)),
    "csv": Target("text.csv", mutated_bytes, ((*NIB, "{base}/text.csv"),)),
    "safetensors": Target(f"{MODULE}/weights.safetensors", mutated_header, (SHOW,)),
    "backbone weights": Target("model/model.safetensors", mutated_header, (FOLDER,)),
    "hdf5": Target(
        "gpt2.h5", mutated_bytes,
        (("capture", "--inspect", "{base}/gpt2.h5"), ("capture", "--verify", "{base}/gpt2.h5")),
    ),
}  # fmt: skip


@dataclass
class Fuzzer:
    """Mutates files of a scene, runs verbs on them, and puts everything back."""

    scene: Scene
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By target and by `worked`, `named error` or `fault`."""
    faults: list[str] = field(default_factory=list)
    """Each with the target, the number of the input and what was wrong."""

    def run(self, name: str, number: int, *, process: bool = False) -> None:
        """One input: the same number gives the same bytes in every run."""
        target, draw = TARGETS[name], random.Random(f"{name} {number}")
        path = self.scene.base / target.file
        seed = path.read_bytes()
        words = draw.choice(target.verbs)
        path.write_bytes(target.mutate(seed, draw))
        try:
            fault, code = self.judge(words, process)
        finally:
            path.write_bytes(seed)
        said = "fault" if fault else ("named error" if code else "worked")
        self.outcomes[name, said] += 1
        if fault:
            self.faults.append(f"{name} {number}, abi {words[0]}: {fault}")

    def judge(self, words: tuple[str, ...], process: bool = False) -> tuple[str | None, int]:
        """What is wrong with a run of a verb, if anything is, and its exit code."""
        began = time.monotonic()
        with only_inside(self.scene.base) as opened, at_most(SECONDS) as late:
            code, printed, said = (_in_a_process if process else _here)(self.scene, words)
        for made in self.scene.root.glob("**/again"):
            shutil.rmtree(made, ignore_errors=True)
        if late or time.monotonic() - began > SECONDS + (20 if process else 0):
            return f"over {SECONDS} s", code
        if opened:
            return f"opened {opened[0]}", code
        return fault_of(code, printed, said), code


def fault_of(code: int, printed: str, said: str) -> str | None:
    """What is wrong with the end of a run with `--json`, if anything is."""
    try:
        found = json.loads(printed)
    except ValueError:
        return f"stdout is no one JSON value: {printed[-200:]!r} {said[-300:]!r}"
    if "Traceback" in said or "panicked" in said:
        return f"a traceback: {said[-300:]!r}"
    if code not in (0, 1, 2):
        return f"exit {code}"
    if code and (not isinstance(found, dict) or "error" not in found):
        return f"exit {code} without an error: {printed[:200]!r}"
    if code and (found["error"] == "FaultError" or "\n" in str(found["what"])):
        return f"no named error in one line: {printed[:400]!r}"
    return None


def build(base: Path) -> Scene:
    """A registry with tiny backbones and a module, text, a folder of a model and of an adapter."""
    scene = Scene(base)
    put_corpus(base / "tales", TEXTS)
    write_folder(base / "law")
    put_backbones(scene.root, TEXTS)
    scene.must(*STORED["module"])
    scene.must(*STORED["capture"])
    ignored = shutil.ignore_patterns("manifest.json", "d[0-9]*", ".*")
    shutil.copytree(scene.root / "tiny-llama", base / "model", ignore=ignored)
    rows = [{"text": text} for text in TEXTS[:30]]
    (base / "text.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (base / "text.json").write_text(json.dumps(rows))
    (base / "text.csv").write_bytes(TABLE + b"".join(b"3,%s\r\n" % t.encode() for t in TEXTS[:30]))
    (base.parent / "outside").mkdir(exist_ok=True)
    (base.parent / "outside" / "secret.txt").write_text("nobody's business")
    return scene


_watched: list[tuple[tuple[str, ...], tuple[str, ...], list[str]]] = []
_hooked = False


@contextmanager
def only_inside(base: Path) -> Iterator[list[str]]:
    """Notes every file that is opened to read outside `base`, Python and the system; to write too.

    The list is filled while the block runs.
    """
    global _hooked
    if not _hooked:
        sys.addaudithook(_note)
        _hooked = True
    written = (str(base.resolve()), "/dev/null")
    roots = (
        sys.prefix,
        sys.base_prefix,
        str(PROJECT.resolve()),
        *(os.path.realpath(place) for place in sys.path if place),
    )
    system = ("/proc", "/sys", "/dev", "/etc", "/usr", "/lib")
    opened: list[str] = []
    before, tempfile.tempdir = tempfile.tempdir, str(base)  # a run's own files, too
    _watched.append(
        (written, (*written, *(root for root in roots if root != "/"), *system), opened)
    )
    try:
        yield opened
    finally:
        _watched.pop()
        tempfile.tempdir = before


def _note(event: str, given: tuple[Any, ...]) -> None:
    if event != "open" or not _watched or not isinstance(given[0], str | bytes):
        return
    written, read, opened = _watched[-1]
    path, flags = os.path.realpath(os.fsdecode(given[0])), given[2]
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    allowed = written if writes else read
    bytecode = path.endswith(".pyc") or "__pycache__" in path
    if not bytecode and not any(path == root or path.startswith(f"{root}/") for root in allowed):
        opened.append(f"{path} to {'write' if writes else 'read'}")


@contextmanager
def at_most(seconds: int) -> Iterator[list[int]]:
    """Interrupts the block after some seconds, and says so in the list."""
    late: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        late.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield late
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _here(scene: Scene, words: tuple[str, ...]) -> tuple[int, str, str]:
    ran = scene(*words)
    said = ran.err if ran.raised is None else f"Traceback: {ran.raised}"
    return ran.code, "" if ran.json is None else json.dumps(ran.json), said


def _in_a_process(scene: Scene, words: tuple[str, ...]) -> tuple[int, str, str]:
    said = [word.format(base=scene.base) for word in words]
    environment = {
        **os.environ, "ABI_REGISTRY": str(scene.root), "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(PROJECT), "TMPDIR": str(scene.base),
    }  # fmt: skip
    signal.alarm(SECONDS + 20)  # a start loads torch
    ran = subprocess.run(
        [sys.executable, "-c", "from commands.app import main; main()", *said, "--json"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout, ran.stderr
