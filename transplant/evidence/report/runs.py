"""Runs: what was measured, from artifacts of the library and from files that verbs wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, NotFoundError, foreign
from transplant.files import strict_json
from transplant.files.former_keys import with_present_keys
from transplant.files.plain import expand, read_plain
from transplant.files.result_kinds import METRICS, results_in

if TYPE_CHECKING:
    from transplant.library import Entry, Manifest
    from transplant.workflows.work import Work

LARGEST = 1 << 26  # bytes of a file of results


@dataclass(frozen=True, kw_only=True)
class Run:
    """One result, and what is known of how it was made."""

    given: str
    """The name or the file that it was found by."""
    kind: str
    """One of `result_kinds.KINDS`, or the kind of an artifact that holds no such result."""
    data: Mapping[str, Any]
    """What was measured."""
    made: Mapping[str, Any] = field(default_factory=dict)
    """Verb, options, seed, versions, date; empty where none is on record."""
    command: str | None = None
    """The command that stands in the file beside it."""
    written: float | None = None
    """When its file was last written, in seconds since 1970."""
    manifest: Manifest | None = None
    """Of an artifact."""
    folder: str | None = None
    """The folder that was given, where its file was found in one."""

    @property
    def title(self) -> str:
        """What it is of: the hosted name, else the model, else what it was found by."""
        for key in ("name", "model", "candidate", "bank"):
            if isinstance(self.data.get(key), str):
                return str(self.data[key])
        return self.given


@dataclass(frozen=True)
class LeftOut:
    """A file of a folder that cannot be reported on."""

    file: str
    why: str


def read_runs(work: Work, given: Sequence[str]) -> tuple[list[Run], list[LeftOut]]:
    """All results behind names and files, in the order in which they were given.

    A file that cannot be read is left out where it was found in a folder.

    Args:
        work: whose library names are looked up in.
        given: names of artifacts, files of JSON, or folders of such files.

    Raises:
        InputError: nothing was given; a file that holds no result; a folder of no other files.
        NotFoundError: neither a file nor an artifact.
    """
    if not given:
        raise InputError("`runs`", expected="a name or a file, or more", found="none")
    left_out: list[LeftOut] = []
    return [run for one in given for run in _runs_of(work, one, left_out)], left_out


def _runs_of(work: Work, given: str, left_out: list[LeftOut]) -> list[Run]:
    path = expand(given)
    looks_like_file = path.suffix == ".json" or "/" in given
    if not looks_like_file and (entry := _entry(work, given, path)) is not None:
        return [_of_entry(work, given, entry)]
    if path.is_dir():
        found = _in_folder(path, given, left_out)
    elif path.is_file():
        found = [*_in_file(path)]
    elif looks_like_file:
        raise NotFoundError(f"no file {given}", hint="`list()` shows the artifacts")
    else:
        raise NotFoundError(f"neither an artifact nor a file is called {given}", hint="`list()`")
    if not found:
        raise InputError(
            f"{given} holds no result", expected="JSON that a run of this tool wrote",
            hint="`transfer(..., json=True)` > FILE, as of every other measurement",
        )  # fmt: skip
    return found


def _entry(work: Work, given: str, path: Path) -> Entry | None:
    """The artifact of a name; None where there is none and a file has that name."""
    try:
        return work.find(given)
    except NotFoundError:
        if path.exists():
            return None
        raise


def _of_entry(work: Work, given: str, entry: Entry) -> Run:
    """What the manifest of an artifact says as a run."""
    manifest = entry.manifest
    results = with_present_keys(dict(manifest.results))
    moved = "recovered" in results
    kind = "move" if moved else "training" if "ppl" in results else manifest.kind
    if manifest.kind == "bridge":
        kind = "alignment"
    facts = {"name": manifest.hosted, "domain": manifest.domain, "backbone": manifest.backbone.id}
    if kind == "move":
        facts["target"] = manifest.backbone.id
        donor = _donor_of(work, manifest)
        facts |= {} if donor is None else {"donor": donor}
    if manifest.kind == "module":
        facts["module_sha256"] = manifest.sha256
    return Run(
        given=given, kind=kind, data={**facts, **results}, made=manifest.made, manifest=manifest,
        written=(entry.path / "manifest.json").stat().st_mtime,
    )  # fmt: skip


def _donor_of(work: Work, manifest: Manifest) -> str | None:
    """The name of the module that was moved: of the same bytes, on the donor's backbone."""
    origin = manifest.parents.get("donor_backbone")
    for entry in work.library.entries(manifest.kind):
        one = entry.manifest
        if one.sha256 == manifest.sha256 and one.backbone.weights_sha256 == origin:
            return one.hosted
    return None


def _in_folder(path: Path, given: str, left_out: list[LeftOut]) -> list[Run]:
    """The results in a folder's files.

    Raises:
        InputError: none of them can be read.
    """
    found: list[Run] = []
    faults: list[InputError] = []
    for file in sorted(path.glob("*.json")):
        try:
            found += [dataclasses.replace(run, folder=given) for run in _in_file(file)]
        except InputError as error:
            faults.append(error)
            left_out.append(LeftOut(str(file), error.line()))
    if faults and not found:
        raise faults[0]
    return found


def _in_file(path: Path) -> Iterator[Run]:
    with foreign(f"cannot read {path}", InputError, expected="JSON that a run wrote"):
        data = with_present_keys(strict_json.parse(read_plain(path, LARGEST, follow=True).decode()))
    written = path.stat().st_mtime
    for kind, found, command in results_in(data):
        if kind == METRICS:
            continue
        made = found.get("made")
        if not isinstance(made, dict):
            made = {"seed": found["seed"]} if "seed" in found else {}
        yield Run(
            given=str(path), kind=kind, data=found, made=made, command=command,
            written=written,
        )  # fmt: skip
