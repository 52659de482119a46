"""One run of a recipe: finished steps are kept, the first other one runs, and all that follow."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from transplant.errors import TransplantError
from transplant.files.json_text import to_json
from transplant.files.plain import expand
from transplant.recipes.kept_files import Watched, files_read, hash_of, remove_written
from transplant.recipes.names import check_names
from transplant.recipes.read import Recipe, Step, read_recipe
from transplant.recipes.record import (
    Finished,
    Record,
    key_of,
    open_record,
    read_record,
)
from transplant.recipes.recorded import RecordedLibrary
from transplant.recipes.references import references_in, resolved
from transplant.recipes.values import checked_options
from transplant.recipes.verbs import Done, Verbs

if TYPE_CHECKING:
    from transplant.library import Library
    from transplant.workflows.work import Work

KEPT, RAN, WOULD_RUN, NOT_RUN = "kept", "ran", "would run", "not run"
REPLACE, RESUME = "replace", "resume"


def run_recipe(
    work: Work, path: Path | str, verbs: Verbs, *, dry_run: bool = False, own_library: bool = False
) -> dict[str, Any]:
    """Runs the steps of a recipe that are not finished yet.

    A step is kept where its options and the settings are as they were, what it read has the same
    hashes, and what it made is there with the hashes on record. From the first other step on, all
    of them run. What a step of this recipe made before may be replaced by it; no other artifact is.

    Args:
        work: library, device, seed and reporter; settings of the recipe go before its own.
        path: the file.
        verbs: what steps may do.
        dry_run: check everything and say what would run.
        own_library: whether the library of `work` counts though the recipe names a registry.

    Returns:
        The report: `steps` with the report of each, and `pass`.

    Raises:
        InputError: a recipe that cannot run, with file and line.
        ExistsError: a name that a step would make is taken by what this recipe did not make.
        TransplantError: what a step raises, with its file and line before it.
    """
    began = time.monotonic()
    recipe = read_recipe(path, verbs)
    root = recipe.settings.get("registry")
    if root is not None and not own_library:
        work = dataclasses.replace(work, library=verbs.library(expand(root)))
    run = _Run(work, recipe, verbs)
    if dry_run:
        run.record = read_record(work.library.root, recipe.path)
        check_names(work.library, recipe, run.record, verbs)
        run.all_steps(run.plan)
    else:
        with open_record(work.library.root, recipe.path) as run.record:
            check_names(work.library, recipe, run.record, verbs)
            run.all_steps(run.act)
    return {
        "recipe": str(recipe.path), "registry": str(work.library.root), "dry_run": dry_run,
        "settings": dict(recipe.settings), "steps": run.told, "pass": not run.failed,
        "seconds": time.monotonic() - began,
    }  # fmt: skip


@dataclass
class _Run:
    """The steps of one run, and what is known of them so far."""

    work: Work
    recipe: Recipe
    verbs: Verbs
    record: Record = field(default_factory=lambda: Record(path=Path(), recipe=""))
    reports: dict[str, Any] = field(default_factory=dict)
    """By step, of those that are kept or have run."""
    told: list[dict[str, Any]] = field(default_factory=list)
    """The report of each step, for the report of all."""
    this_run: list[Finished] = field(default_factory=list)
    failed: bool = False
    """Whether a step did not pass that may not fail."""

    @property
    def _settings(self) -> dict[str, Any]:
        """The settings that a step may depend on."""
        return {name: it for name, it in self.recipe.settings.items() if name != "registry"}

    @property
    def base(self) -> Path:
        """What relative paths are relative to."""
        return Path.cwd()

    def all_steps(self, act: Callable[[Step], None]) -> None:
        """Keeps the finished steps, and has the others acted on; ends behind one that failed."""
        changed = False
        for step in self.recipe.steps:
            if self.failed:
                self.told.append(_told(step, NOT_RUN))
                continue
            kept = None if changed else self._kept(step)
            changed = changed or kept is None
            if kept is None:
                act(step)
            else:
                self.work.reporter.note(f"{step.name} ({step.verb}) is kept: {_made_by(kept)}")
                self._finish(step, kept, KEPT)

    def plan(self, step: Step) -> None:
        """Says that a step would run."""
        self.told.append(_told(step, WOULD_RUN))

    def _finish(self, step: Step, done: Finished, state: str) -> None:
        self.reports[step.name] = done.report
        self.this_run.append(done)
        self.failed = self.failed or not (done.passed or step.may_fail)
        self.told.append(_told(step, state, done))

    def _options(self, step: Step) -> dict[str, Any]:
        """The options of a step with what earlier ones have reported, checked."""
        where = self.recipe.where
        given = {
            name: resolved(value, self.reports, where(step, name))
            for name, value in step.options.items()
        }
        table = self.verbs.options(step.verb)
        lines = {option.spelled[0]: where(step, option.name) for option in table}
        return checked_options(given, table, step.verb, lambda key: lines.get(key, where(step)))

    def _key(self, step: Step, options: Mapping[str, Any]) -> str:
        """The hash of all that a step is asked with; a setting of the recipe hides the work's."""
        names = ("seed", "device", "dtype", "revision", "text_column")
        settings = {name: getattr(self.work, name) for name in names} | self._settings
        return key_of({
            "verb": step.verb, "options": options, "settings": settings,
            "version": self.verbs.version(),
        })  # fmt: skip

    def _kept(self, step: Step) -> Finished | None:
        """What is on record of a step that need not run; None where it must."""
        used = {ref.partition(".")[0] for v in step.options.values() for ref in references_in(v)}
        if not used <= self.reports.keys():
            return None
        options = self._options(step)
        done = self.record.finished(self._key(step, options))
        if done is None:
            return None
        library = self.work.library
        if not (
            all(one.stands(library) for one in done.read)
            and all(hash_of(Path(file)) == sha256 for file, sha256 in done.read_files.items())
            and all(hash_of(Path(file)) == sha256 for file, sha256 in done.written_files.items())
            and all(one.is_whole(library) for one in done.written)
        ):
            return None
        return done

    def act(self, step: Step) -> None:
        """Runs a step, and puts it on record."""
        options, began = self._options(step), time.monotonic()
        key = self._key(step, options)
        parameters = {option.name: option for option in self.verbs.options(step.verb)}
        asked = dict(options)
        if RESUME in parameters and self.record.running == key:
            asked[RESUME] = True
        defaults = {name: option.default for name, option in parameters.items()}
        watched = Watched({**defaults, **options}, self.base)
        mine = {file for done in self.this_run for file in done.written_files}
        for old in self.record.steps:
            outdated = {f: h for f, h in old.written_files.items() if f not in mine}
            remove_written(outdated, watched.places)
        made = {one.place for done in self.this_run for one in done.written}
        own = [one for one in self.record.made if one.place not in made]
        library = RecordedLibrary(self.work.library, own, self.record.note_made)
        read_files = files_read(options, self.base)
        self.record.begin(key)
        self.work.reporter.note(f"{step.name} ({step.verb}) ...")
        done = self._perform(step, asked, library)
        report = json.loads(to_json(done.report, 0))  # what is kept reads the same
        finished = Finished(
            name=step.name, verb=step.verb, key=key, report=report, passed=done.passed,
            seconds=time.monotonic() - began, read=tuple(library.was_read), read_files=read_files,
            written=tuple(library.was_written), written_files=watched.written(done.report),
        )  # fmt: skip
        self.record.end(finished)
        self._finish(step, finished, RAN)

    def _perform(self, step: Step, options: Mapping[str, Any], library: RecordedLibrary) -> Done:
        work = dataclasses.replace(self.work, library=cast("Library", library))
        try:
            return self.verbs.perform(work, step.verb, options, self.recipe.settings)
        except TransplantError as error:
            error.what = f"{self.recipe.where(step)}: step {step.name!r}: {error.what}"
            error.args = (error.line(),)
            raise
        except KeyboardInterrupt:
            self.work.reporter.note(f"stopped in {step.name!r}: the same recipe goes on from there")
            raise


def _told(step: Step, state: str, done: Finished | None = None) -> dict[str, Any]:
    """What the report says of a step."""
    return {
        "name": step.name, "verb": step.verb, "line": step.line, "state": state,
        "pass": None if done is None else done.passed, "may_fail": step.may_fail,
        "seconds": None if done is None else done.seconds,
        "made": [] if done is None else [one.as_dict() for one in done.written],
        "files": {} if done is None else dict(done.written_files),
        "report": None if done is None else done.report,
    }  # fmt: skip


def _made_by(done: Finished) -> str:
    """What a step has made, in words."""
    shown = [str(one) for one in done.written if one.kind != "interface"]
    shown += [f"{len(done.written_files)} files"] if done.written_files else []
    shown += [] if done.passed else ["it did not pass"]
    return ", ".join(shown) or "nothing to make"
