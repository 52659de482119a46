"""The setting of every job: where names are looked up, where models run, who is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.dtypes import AUTO, dtype_name
from transplant.errors import InputError, NotFoundError
from transplant.files.plain import expand
from transplant.library import Entry, Library, Manifest
from transplant.progress import Reporter, SilentReporter
from transplant.ranks import current

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.backbones.view import Backbone
    from transplant.modules.hosted import HostedModel

# Found by name where no module has it.
OTHER_KINDS = ("injection", "adapter", "fusion", "bank", "tokens")


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
        seed: of every random draw that no configuration seeds.
        reporter: what is told of the progress; by default nobody.
        verb: what the work is recorded as in manifests.
        options: what it was asked with, for the same record.
        skip_bad: whether what cannot be read of a corpus is left out.
        noted: what was said of backbones and files; once is enough.
        reading: what was not read of which corpus, where that is not all of it; filled on the way.
        arithmetic: the type in which each backbone computes that was loaded; filled on the way.
    """

    library: Library = field(default_factory=_installed_library)
    device: str = "cpu"
    dtype: Any = AUTO
    torch_dtype: InitVar[Any] = None
    revision: str | Mapping[str, str] | None = None
    seed: int = 0
    reporter: Reporter = field(default_factory=SilentReporter)
    verb: str = "python"
    options: Mapping[str, Any] = field(default_factory=dict)
    skip_bad: bool = False
    noted: set[str] = field(default_factory=set)
    reading: dict[str, dict[str, Any]] = field(default_factory=dict)
    arithmetic: dict[str, str] = field(default_factory=dict)

    def __post_init__(self, torch_dtype: Any) -> None:
        """Takes the type by any of its names; of several processes, the first one writes.

        Raises:
            InputError: there is none of that name.
        """
        from transplant.workflows.shared_library import shared

        object.__setattr__(self, "dtype", dtype_name(self.dtype, torch_dtype))
        object.__setattr__(self, "library", shared(self.library, current()))

    def load(self, name: str) -> HostedModel:
        """A backbone, or a module hosted on one, by name; see `transplant.load`."""
        from transplant.loading.hosted import load

        self.reporter.note(f"loading {name}")
        hosted = load(
            name, library=self.library, device=self.device, dtype=self.dtype,
            revision=self._revision_of(self.library.split_name(name)[1]),
        )  # fmt: skip
        self._note_once(*hosted.backbone.notes)
        self.arithmetic[hosted.backbone.name] = str(hosted.backbone.dtype).removeprefix("torch.")
        return hosted

    def _revision_of(self, backbone: str) -> str | None:
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

    def backbone(self, name: str) -> Backbone:
        """A backbone by name; a module in the name is refused."""
        hosted = self.load(name)
        if not hosted.is_raw:
            raise InputError(f"{name} is a hosted module", expected="a backbone's name")
        return hosted.backbone

    def recognise(self, backbone: str) -> bool:
        """Loads a folder of unknown weights: what was made for them under another name is found.

        Returns:
            Whether it did: not where there is no such folder, or where they are known already.
        """
        if not expand(backbone).is_dir() or self.library.fingerprints(backbone) is not None:
            return False
        self.backbone(backbone)
        return True

    def find(self, name: str, kind: str | None = None) -> Entry:
        """The artifact of a name: a backbone, or the module (or another kind) hosted on one.

        Raises:
            NotFoundError: there is none.
            InputError: a module inside a core, which is no artifact of its own.
        """
        from transplant.workflows.cores.modules_inside import find_core_module

        module, backbone, d_abi = self.library.split_name(name)
        if module is None:
            return self.library.find(kind or "backbone", backbone, None, d_abi)
        if kind in (None, "module") and find_core_module(self.library, name) is not None:
            raise InputError(
                f"{name} is inside the core {backbone}",
                expected="an artifact of its own",
                hint=f"`show({backbone!r})`, or `rm({backbone!r})` with all that is inside",
            )
        kinds = ("module", *OTHER_KINDS) if kind is None else (kind,)
        try:
            return self._find_hosted(kinds, module, backbone, d_abi)
        except NotFoundError:
            if not self.recognise(backbone):
                raise
            return self._find_hosted(kinds, module, backbone, d_abi)

    def _find_hosted(
        self, kinds: Sequence[str], name: str, backbone: str, d_abi: int | None
    ) -> Entry:
        """The artifact of a name that belongs to a backbone, of the first kind that has one."""
        missing = None
        for kind in kinds:
            try:
                return self.library.find(kind, name, backbone, d_abi)
            except NotFoundError as error:
                missing = missing or error
        assert missing is not None
        raise missing

    def module_manifest(self, name: str) -> Manifest:
        """The manifest of a hosted module: one inside a core, or an artifact of its own."""
        from transplant.workflows.cores.modules_inside import find_core_module

        return find_core_module(self.library, name) or self.find(name, "module").manifest

    def domain_source(self, name: str) -> str | None:
        """The corpus that a hosted module was trained on; None for a raw backbone."""
        from transplant.workflows.cores.modules_inside import find_core_module

        if "@" not in name:
            return None
        manifest = find_core_module(self.library, name) or self.find(name).manifest
        source = manifest.made.get("corpus", manifest.domain)
        return None if source is None else str(source)

    def made(self, **facts: Any) -> dict[str, Any]:
        """How an artifact was made, for its manifest and its report.

        `dtype` is the type in which the backbones computed: one name, or one for each of them
        where they differ.
        """
        from transplant.loading.hosted import versions

        return {
            "verb": self.verb,
            "options": self.options,
            "seed": self.seed,
            "versions": versions(),
            **({"dtype": self._dtypes()} if self.arithmetic else {}),
            **({"reading": dict(self.reading)} if self.reading else {}),
            **facts,
        }

    def _dtypes(self) -> str | dict[str, str]:
        used = {*self.arithmetic.values()}
        return used.pop() if len(used) == 1 else dict(self.arithmetic)

    @contextmanager
    def resumable(self, path: Path) -> Iterator[None]:
        """Says after an interruption that the run can go on from `path`, where there is that file.

        The same run with `resume` continues it.
        """
        try:
            yield
        except KeyboardInterrupt:
            if path.is_file():
                self.reporter.note(f"stopped; a run that resumes continues {path}")
            raise
