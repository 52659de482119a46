"""The setting of every job: where models run, who is told, and what is recorded of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.dtypes import AUTO, dtype_name
from transplant.library import Library
from transplant.losses import LossRecord, LossSink, RecordingReporter
from transplant.progress import Reporter, SilentReporter
from transplant.ranks import current

if TYPE_CHECKING:
    from transplant.text.row_form import ChatTemplate


def _installed_library() -> Library:
    from transplant.loading.hosted import installed_library

    return installed_library()


@dataclass(frozen=True, kw_only=True)
class JobSetting:
    """A library of artifacts, a device, a seed, and somebody to report to.

    Args:
        library: where names are looked up and artifacts are stored; by default the installed
            registry.
        device: where backbones run: `auto`, `cpu`, `cuda`, `cuda:1`, `mps`.
        dtype: the arithmetic of backbones, as a name or a `torch.dtype`; see `load_backbone`.
        torch_dtype: the same under another name.
        revision: of backbones from a hub: one for all of them, or one for each by hub id, that of
            every other under the empty name.
        device_map: where the parts of backbones go in place of `device`; see `load_backbone`.
        max_memory: what each device may hold then.
        offload_folder: where what is on the disk may be written then.
        seed: of every random draw that no configuration seeds.
        reporter: what is told of the progress; by default nobody.
        verb: what the work is recorded as in manifests.
        options: what it was asked with, for the same record.
        skip_bad: whether what cannot be read of a corpus is left out.
        noted: what was said of backbones and files; once is enough.
        text_column: the column of rows that is read as text; None for the usual ones.
        reading: what was not read of which corpus, where that is not all of it, from which columns
            its rows were read, and whose template made text of chats; filled on the way.
        columns: the column that rows are read from, by corpus, where `text_column` does not say:
            what the manifests of modules say of theirs; filled on the way.
        templates: of the models that were loaded, in order; filled on the way.
        arithmetic: the type in which each backbone computes that was loaded; filled on the way.
        losses: of each training run, by its title; filled on the way.
    """

    library: Library = field(default_factory=_installed_library)
    device: str = "cpu"
    dtype: Any = AUTO
    torch_dtype: InitVar[Any] = None
    revision: str | Mapping[str, str] | None = None
    device_map: str | Mapping[str, str | int] | None = None
    max_memory: Mapping[str | int, str | int] | None = None
    offload_folder: Path | str | None = None
    seed: int = 0
    reporter: Reporter = field(default_factory=SilentReporter)
    verb: str = "python"
    options: Mapping[str, Any] = field(default_factory=dict)
    skip_bad: bool = False
    noted: set[str] = field(default_factory=set)
    text_column: str | None = None
    reading: dict[str, dict[str, Any]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    templates: dict[str, ChatTemplate] = field(default_factory=dict)
    arithmetic: dict[str, str] = field(default_factory=dict)
    losses: dict[str, LossRecord] = field(default_factory=dict)

    def __post_init__(self, torch_dtype: Any) -> None:
        """Takes the type by any of its names; of several processes, the first one writes.

        Raises:
            InputError: there is none of that name.
        """
        from transplant.workflows.shared_library import shared

        object.__setattr__(self, "dtype", dtype_name(self.dtype, torch_dtype))
        object.__setattr__(self, "library", shared(self.library, current()))
        if not isinstance(self.reporter, RecordingReporter):
            object.__setattr__(self, "reporter", RecordingReporter(self.reporter, self.losses))

    @property
    def template(self) -> ChatTemplate | None:
        """What makes text of chats: the template of the first model that has one.

        So a move reads them as its donor did, and both backbones read the same text.
        """
        found = [*self.templates.values()]
        return next((one for one in found if one.render is not None), found[0] if found else None)

    def revision_of(self, backbone: str) -> str | None:
        """The hub revision that was asked for of a backbone."""
        if self.revision is None or isinstance(self.revision, str):
            return self.revision
        return self.revision.get(backbone, self.revision.get(""))

    def read_alike(self, made: Mapping[str, Any], source: str) -> int | None:
        """How far a run read a stream, by what it recorded: one that reads as far splits it so.

        Where its rows were read from a column that was named, so they will be, unless another is.

        Args:
            made: of a manifest or a result.
            source: the corpus.

        Returns:
            The characters, or None where it is not recorded.
        """
        from transplant.text.row_form import is_usual

        reading = (made.get("reading") or {}).get(source) or {}
        asked = (made.get("options") or {}).get("text_column")
        columns = reading.get("columns") or ()
        if len(columns) == 1 and (columns[0] == asked or not is_usual(columns[0])):
            self.columns.setdefault(source, columns[0])
        return reading.get("stream_chars")

    def _note_once(self, *notes: str) -> None:
        for note in notes:
            if note not in self.noted:
                self.reporter.note(note)
        self.noted.update(notes)

    def made(self, **facts: Any) -> dict[str, Any]:
        """How an artifact was made, for its manifest and its report.

        `dtype` is the type in which the backbones computed: one name, or one for each of them
        where they differ; `date` is when it was recorded, in UTC.
        """
        from transplant.loading.hosted import versions

        if self.losses and isinstance(self.reporter, RecordingReporter):
            self.reporter.kept = True
        return {
            "verb": self.verb,
            "options": self.options,
            "seed": self.seed,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            **({"dtype": self._dtypes()} if self.arithmetic else {}),
            **({"reading": dict(self.reading)} if self.reading else {}),
            **({"losses": self.kept_losses()} if self.losses else {}),
            **facts,
        }

    def kept_losses(self) -> dict[str, Any]:
        """The losses of the training runs so far, by title: at most 200 steps of each."""
        return {title: record.to_dict() for title, record in self.losses.items()}

    def log_losses(self, sinks: Sequence[LossSink]) -> None:
        """Has losses passed on to trackers as they come; see `transplant.trackers`."""
        assert isinstance(self.reporter, RecordingReporter)
        self.reporter.sinks = tuple(sinks)

    def _dtypes(self) -> str | dict[str, str]:
        used = {*self.arithmetic.values()}
        return used.pop() if len(used) == 1 else dict(self.arithmetic)

    def continues(self, path: Path, resume: bool) -> bool:
        """Whether a run goes on from a file; where there is none yet it starts, and that is noted.

        Args:
            path: where an interrupted run has left its state.
            resume: whether it was asked to go on.
        """
        if resume and not path.is_file():
            self.reporter.note(f"nothing to resume yet, no {path}: a new run starts")
            return False
        return resume

    @contextmanager
    def resumable(self, path: Path) -> Iterator[None]:
        """Says after an interruption that the run can go on from `path`, where there is that file.

        The same run with `resume` continues it.
        """
        try:
            yield
        except KeyboardInterrupt:
            if path.is_file():
                self.reporter.note(f"stopped; the same run with `resume=True` continues {path}")
            raise
