"""The setting of every job: where names are looked up, where models run, who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from transplant.dtypes import AUTO, dtype_name
from transplant.errors import CorruptError, InputError
from transplant.files.plain import expand
from transplant.library import BackboneRecord, Entry, HostedName, Library, Manifest
from transplant.losses import LossRecord, LossSink, RecordingReporter
from transplant.progress import Reporter, SilentReporter
from transplant.ranks import current

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.backbones.view import Backbone
    from transplant.modules.hosted import HostedModel
    from transplant.text.row_form import ChatTemplate

Found = TypeVar("Found")
Look = Callable[[str, str, str | None, int | None], Found | None]
"""What a library has of a kind under a name, a backbone and a width."""

# Found by name where no module has it.
OTHER_KINDS = ("injection", "adapter", "linear", "fusion", "basis", "bank", "tokens")


def _installed_library() -> Library:
    from transplant.loading.hosted import installed_library

    return installed_library()


@dataclass(frozen=True, kw_only=True)
class Work:
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

    def named(self, name: str | HostedName) -> HostedName:
        """A name in parts; a bare one of what is hosted on one backbone alone is completed.

        Raises:
            InputError: no name, or a bare one of what is hosted on several backbones.
        """
        from transplant.loading.bare_names import full_name

        if not isinstance(name, str):
            return name
        return full_name(self.library.split_name(name), self.library)

    def load(self, name: str | HostedName) -> HostedModel:
        """A backbone, or a module hosted on one, by name; see `transplant.load`."""
        from transplant.backbones.downloads import following_downloads
        from transplant.loading.hosted import load
        from transplant.text.chats import template_of

        name = self.named(name)
        title = f"loading {name}"
        self.reporter.note(title)
        with self.reporter.progress(title) as progress, following_downloads(progress):
            hosted = load(
                name, library=self.library, device=self.device, dtype=self.dtype,
                revision=self.revision_of(name.backbone), device_map=self.device_map,
                max_memory=self.max_memory, offload_folder=self.offload_folder,
            )  # fmt: skip
        self._note_once(*hosted.backbone.notes)
        own = template_of(hosted.backbone.name, hosted.tokenizer)
        self.templates.setdefault(own.name, own)
        self.arithmetic[hosted.backbone.name] = str(hosted.backbone.dtype).removeprefix("torch.")
        return hosted

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

    def activations(self, path: Path | str) -> Activations:
        """A complete file of captured activations, open; see `Activations.open`."""
        from transplant.activations.reader import Activations

        acts = Activations.open(path)
        if acts.note is not None:
            self._note_once(acts.note)
        return acts

    def _note_once(self, *notes: str) -> None:
        for note in notes:
            if note not in self.noted:
                self.reporter.note(note)
        self.noted.update(notes)

    def backbone(self, name: str | HostedName) -> Backbone:
        """A backbone by name; a module in the name is refused, before it is loaded where it can."""
        named = self.named(name)
        hosted = self.load(named) if named.module is None else None
        if hosted is None or not hosted.is_raw:
            raise InputError(
                f"{name} is a hosted module", expected="a backbone's name", found=str(named),
                hint=None if named.module is None else f"{named.backbone}, which it is hosted on",
            )  # fmt: skip
        return hosted.backbone

    def called(self, backbone: BackboneRecord) -> str:
        """A name that leads to a backbone: the one on record, or another of its weights."""
        if self.library.holds_backbone(backbone.id) or expand(backbone.id).is_dir():
            return backbone.id
        return next(iter(self.library.called(backbone)), backbone.id)

    def recognise(self, backbone: str) -> bool:
        """Loads a folder of unknown weights: what was made for them under another name is found.

        Returns:
            Whether it did: not where there is no such folder, or where they are known already.
        """
        if not expand(backbone).is_dir() or self.library.fingerprints(backbone) is not None:
            return False
        self.backbone(backbone)
        return True

    def find(self, name: str | HostedName, kind: str | None = None) -> Entry:
        """The artifact of a name: a backbone, or the module (or another kind) hosted on one.

        Raises:
            NotFoundError: there is none.
            InputError: a module inside a core, which is no artifact of its own.
        """
        return self._first(self.named(name), kind, self.library.get)

    def _first(self, name: HostedName, kind: str | None, look: Look[Found]) -> Found | Entry:
        """What `look` finds under a name, of the first kind that has it; errors as of `find`."""
        from transplant.workflows.cores.modules_inside import find_core_module

        core = name.backbone
        if name.module is None:
            found = look(kind or "backbone", core, None, name.d_abi)
            return found or self.library.find(kind or "backbone", core, None, name.d_abi)
        lost = None
        try:
            inside = kind in (None, "module") and find_core_module(self.library, name)
        except CorruptError as error:  # of the backbone: what stands beside it can be found
            inside, lost = None, error
        if inside:
            raise InputError(
                f"{name} is inside the core {core}",
                expected="an artifact of its own",
                hint=f"`show({core!r})`, or `rm({core!r})` with all that is inside",
            )
        kinds = (kind,) if kind else ("module", *OTHER_KINDS)
        return self._first_hosted(name.module, name, kinds, look, lost)

    def _first_hosted(
        self, module: str, name: HostedName, kinds: Sequence[str], look: Look[Found],
        lost: CorruptError | None = None,
    ) -> Found | Entry:  # fmt: skip
        """The same of what belongs to a backbone.

        Raises:
            NotFoundError: there is none.
            CorruptError: there is none, and the backbone is broken: `lost`.
        """
        for _ in range(2):
            for kind in kinds:
                found = look(kind, module, name.backbone, name.d_abi)
                if found is not None:
                    return found
            if lost is not None:
                raise lost
            if not self.recognise(name.backbone):
                break
        return self.library.find(kinds[0], module, name.backbone, name.d_abi)  # says what is close

    def module_manifest(self, name: str | HostedName) -> Manifest:
        """The manifest of a hosted module: one inside a core, or an artifact of its own."""
        from transplant.workflows.cores.modules_inside import find_core_module

        name = self.named(name)
        inside = find_core_module(self.library, name)
        if inside is None and name.module is not None:
            return self._first_hosted(name.module, name, ("module",), self.library.get).manifest
        return inside or self.find(name, "module").manifest

    def domain_source(self, name: str | HostedName) -> str | None:
        """The corpus that a hosted module was trained on; None for a raw backbone."""
        from transplant.workflows.cores.modules_inside import find_core_module

        name = self.named(name)
        if name.module is None:
            return None
        manifest = find_core_module(self.library, name) or self.find(name).manifest
        source = manifest.made.get("corpus", manifest.domain)
        return None if source is None else str(source)

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
