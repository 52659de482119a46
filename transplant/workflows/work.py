"""Names in jobs, and the models and artifacts that they lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from transplant.errors import CorruptError, InputError, NotFoundError, given_for
from transplant.files.plain import expand
from transplant.library import BackboneRecord, Entry, HostedName, Manifest
from transplant.workflows.job_setting import JobSetting

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.backbones.view import Backbone
    from transplant.modules.hosted import HostedModel

Found = TypeVar("Found")
Look = Callable[[str, str, str | None, int | None], Found | None]
"""What a library has of a kind under a name, a backbone and a width."""

# Found by name where no module has it.
OTHER_KINDS = ("injection", "adapter", "linear", "fusion", "basis", "bank", "tokens")


class Work(JobSetting):
    """The setting of a job, and what names lead to in it: models, files, artifacts."""

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

    def load_together(self, *names: str | HostedName) -> list[HostedModel]:
        """Models by name, in order; those of one backbone share its weights."""
        from transplant.loading.hosted import host

        loaded: list[HostedModel] = []
        backbones: dict[str, Backbone] = {}
        for named in map(self.named, names):
            if (shared := backbones.get(named.backbone)) is not None:
                loaded.append(host(shared, named.module, self.library, named.d_abi))
                continue
            loaded.append(self.load(named))
            if named.module is not None or loaded[-1].is_raw:  # else a folder of its own
                backbones[named.backbone] = loaded[-1].backbone
        return loaded

    def check_there(self, *bare: str, **names: str | Sequence[str] | None) -> None:
        """Refuses names of models that nothing has, before any of them is loaded.

        What is inside a folder or behind a hub id is seen as it is loaded, and not here.

        Args:
            bare: names that were given for no parameter of their own.
            names: by the parameter that they were given for; None where none was.

        Raises:
            NotFoundError: no backbone of that name, or nothing of that name on it.
            BackboneError: a path that leads nowhere.
            InputError: no name, or a bare one of what is hosted on several backbones.
        """
        for name in bare:
            self._check_there(self.named(name))
        for parameter, given in names.items():
            for name in (given,) if isinstance(given, str) else given or ():
                with given_for(parameter):
                    self._check_there(self.named(name))

    def _check_there(self, named: HostedName) -> None:
        from transplant.backbones.paths import check_path
        from transplant.loading.bare_names import refuse_unknown
        from transplant.workflows.cores.modules_inside import find_core_module

        if self.library.backbone_path(named.backbone) is None:
            refuse_unknown(named.backbone, self.library)
            check_path(named.backbone)
        elif named.module is not None and find_core_module(self.library, named) is None:
            self.find(named)

    def kind_of(self, name: str | HostedName) -> str | None:
        """The kind of an artifact; None of a module inside a core, and of what is not stored."""
        with suppress(InputError, NotFoundError):
            return self.find(name).manifest.kind
        return None

    def activations(self, path: Path | str) -> Activations:
        """A complete file of captured activations, open; see `Activations.open`."""
        from transplant.activations.reader import Activations

        acts = Activations.open(path)
        if acts.note is not None:
            self._note_once(acts.note)
        return acts

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
        """The corpus that a hosted module was trained on; None for a raw backbone.

        Its rows will be read as they were then.
        """
        from transplant.workflows.cores.modules_inside import find_core_module

        name = self.named(name)
        if name.module is None:
            return None
        manifest = find_core_module(self.library, name) or self.find(name).manifest
        source = manifest.made.get("corpus", manifest.domain)
        if source is not None:
            self.read_alike(manifest.made, str(source))
        return None if source is None else str(source)
