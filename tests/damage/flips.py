"""One byte changed in a stored artifact, and whether the verbs that read it say so."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from safetensors import SafetensorError, safe_open

from registry import hash_tensors
from tests.damage.readers import READS, VERBS
from tests.damage.scene import Scene, restore
from transplant.errors import TransplantError

Facts = dict[str, Any]
"""What a verb left, flat: each number that it printed, each tensor and manifest that it stored."""

_NOISE = ("second", "date", "elapsed", "minutes", "manifest_sha256")


@dataclass(frozen=True)
class Flip:
    """One bit of one byte."""

    kind: str
    file: str
    part: str
    place: int
    bit: int

    def apply(self, scene: Scene) -> None:
        """Writes the file anew, so that a copy linked to it keeps its bytes."""
        path = scene.base / self.file
        data = bytearray(path.read_bytes())
        data[self.place] ^= 1 << self.bit
        path.unlink()
        path.write_bytes(data)


@dataclass(frozen=True)
class Outcome:
    """What one verb made of one flip."""

    flip: Flip
    verb: str
    said: str
    """detected, harmless, silent or traceback."""
    why: str

    @property
    def fine(self) -> bool:
        """Whether nothing damaged was used without a word."""
        return self.said in ("detected", "harmless")


def draw_flips(scene: Scene, kind: str, each: int, seed: int = 0) -> Iterator[Flip]:
    """`each` flips for every part of every file of an artifact."""
    place, _ = READS[kind]
    found = sorted(scene.base.glob(place))
    files = [f for path in found for f in (sorted(path.iterdir()) if path.is_dir() else [path])]
    for path in files:
        if not path.is_file():
            continue
        name = path.relative_to(scene.base).as_posix()
        draw = random.Random(f"{seed} {name}")
        for part, spans in _parts(path).items():
            for _ in range(each):
                begin, end = draw.choices(spans, weights=[b - a for a, b in spans])[0]
                yield Flip(kind, name, part, draw.randrange(begin, end), draw.randrange(8))


def _parts(path: Path) -> dict[str, list[tuple[int, int]]]:
    """Names of parts of a file, and the spans of bytes that each takes."""
    size = path.stat().st_size
    if path.suffix == ".safetensors":
        with path.open("rb") as file:
            start = 8 + int.from_bytes(file.read(8), "little")
        return {"header": [(0, start)], "tensors": [(start, size)]}
    if path.suffix != ".h5":
        return {path.name: [(0, size)]}
    chunks: list[tuple[int, int]] = []

    def visit(_name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            stored = [item.id.get_chunk_info(n) for n in range(item.id.get_num_chunks())]
            chunks.extend((c.byte_offset, c.byte_offset + c.size) for c in stored)

    with h5py.File(path) as file:
        file.visititems(visit)
    chunks.sort()
    edges = [0, *(edge for chunk in chunks for edge in chunk), size]
    between = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]
    return {"rows": chunks, "structure": between}


def facts_of(scene: Scene, words: tuple[str, ...], leave_out: str | None = None) -> Any:
    """Runs a verb and gives (what ran, Facts); `leave_out` is the flipped file."""
    ran = scene(*words)
    facts: Facts = {"exit": ran.code}
    _flatten("printed", ran.json, facts)
    return ran, facts | file_facts(scene, leave_out)


def file_facts(scene: Scene, leave_out: str | None = None) -> Facts:
    """What lies in a scene; keys are the file's name, two strokes, the place in it."""
    facts: Facts = {}
    for path in sorted(scene.base.rglob("*")):
        name = path.relative_to(scene.base).as_posix()
        if path.is_file() and name != leave_out and path.suffix != ".txt":
            _flatten(f"{name}/", _content(path), facts)
    return facts


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".json":
            return json.loads(path.read_bytes())
        if path.suffix == ".safetensors" and ".runs" not in path.parts:
            return {name: t.sha256 for name, t in hash_tensors(path).items()}
    except (ValueError, TransplantError):
        pass
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _flatten(at: str, value: Any, facts: Facts) -> None:
    if any(word in at for word in _NOISE):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{at}/{key}", item, facts)
    elif isinstance(value, list):
        facts[f"{at}#"] = len(value)
        for number, item in enumerate(value):
            _flatten(f"{at}/{number}", item, facts)
    else:
        facts[at] = value


class Judge:
    """Knows what each verb leaves where nothing was flipped, and compares."""

    def __init__(self, scene: Scene, kept: Path) -> None:
        self.scene, self.kept = scene, kept
        self.clean: dict[str, Facts] = {}

    def expected(self, verb: str) -> Facts:
        """Two runs; what they do not share says nothing."""
        if verb not in self.clean:
            runs = []
            for _ in range(2):
                restore(self.scene, self.kept)
                ran, facts = facts_of(self.scene, VERBS[verb])
                if ran.code not in (0, 3):
                    raise AssertionError(f"{verb} does not run: {ran}")
                runs.append(facts)
            one, two = runs
            self.clean[verb] = {k: v for k, v in one.items() if k in two and two[k] == v}
        return self.clean[verb]

    def judge(self, flip: Flip, verb: str) -> Outcome:
        """Flips, runs, compares."""
        restore(self.scene, self.kept)
        before = _read(self.scene.base / flip.file)
        flip.apply(self.scene)
        same = before is not None and _read(self.scene.base / flip.file) == before
        ran, facts = facts_of(self.scene, VERBS[verb], leave_out=flip.file)
        if ran.raised:
            return Outcome(flip, verb, "traceback", ran.raised[:200])
        if ran.code in (1, 2):
            if not isinstance(ran.json, dict):
                return Outcome(flip, verb, "traceback", "no JSON object")
            return Outcome(flip, verb, "detected", f"{ran.json['error']}: {ran.json['what']}"[:160])
        expected = self.expected(verb)  # only now: two more runs of the verb
        wrong = [
            key for key, value in expected.items()
            if not key.startswith(flip.file) and facts.get(key) != value
        ]  # fmt: skip
        if ran.code == 3 and expected["exit"] == 0 and verb.startswith(("verify", "capture --v")):
            return Outcome(flip, verb, "detected", "the verdict: exit 3")
        if wrong:
            return Outcome(flip, verb, "silent", f"{len(wrong)} differ: {', '.join(wrong[:3])}")
        why = "the same content" if same else "the result is that without the flip"
        return Outcome(flip, verb, "harmless", why)


def _read(path: Path) -> Any:
    """What a reader of the format sees; None where it can read nothing."""
    try:
        if path.suffix == ".json":
            return json.loads(path.read_bytes())
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return file.metadata(), {n: t.sha256 for n, t in hash_tensors(path).items()}
        return _rows(path)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError, TransplantError):
        return None


def _rows(path: Path) -> dict[str, str]:
    seen: dict[str, str] = {}

    def visit(name: str, item: Any) -> None:
        seen.update((f"{name}@{key}", str(value)) for key, value in item.attrs.items())
        if isinstance(item, h5py.Dataset):
            shape = f"{item.dtype} {item.shape}".encode()
            seen[name] = hashlib.sha256(shape + item[()].tobytes()).hexdigest()

    with h5py.File(path) as file:
        seen.update((f"@{key}", str(value)) for key, value in file.attrs.items())
        file.visititems(visit)
    return seen
