"""The folders that a registry reads, its own and the shipped one: where artifacts stand there."""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path

from transplant.errors import InputError
from transplant.files.whole_folder import final_of

from .entry import MANIFEST, Entry, is_place, read_entry
from .names import backbone_key, check_name
from .reads import ManifestReads


@dataclass(frozen=True)
class Base:
    """One of the folders that a registry reads."""

    root: Path
    """The folder."""
    shipped: bool
    """Whether it ships with the package."""
    reads: ManifestReads
    """The manifests that were read."""

    def entry(self, place: Path) -> Entry:
        """The artifact at a place; see `read_entry`."""
        return read_entry(self.root, place, self.reads, shipped=self.shipped)

    def places(self, key: str) -> set[Path]:
        """Where artifacts stand, or may be found half removed, under the folder of a backbone.

        Args:
            key: the folder's name; `*` for all of them.
        """
        # glob.glob and not Path.glob: it leaves out hidden folders, and bears folders that vanish.
        alone = glob.glob(f"{key}/{MANIFEST}", root_dir=self.root)
        folders = {
            Path(text)
            for pattern in ("*", ".*.old")
            for text in glob.glob(f"{key}/d*/*/{pattern}", root_dir=self.root)
        }
        return {Path(text).parent for text in alone} | {
            place
            for place in map(final_of, folders)
            if is_place(place) and not (self.root / place).is_file()
        }

    def candidates(
        self, kind: str, name: str, backbone: str | None, d_abi: int | None
    ) -> list[Path]:
        """The places that the artifact of a name may have.

        Raises:
            InputError: no backbone is named, or it cannot be a name.
        """
        if kind == "backbone":
            place = Path(backbone_key(name))
            return [place] if os.path.lexists(self.root / place / MANIFEST) else []
        if backbone is None:
            raise InputError(f"{kind} {name}", expected="the backbone it belongs to", found="none")
        key = backbone_key(backbone)
        spaces = [f"{key}/d{d_abi}"]
        if d_abi is None:
            spaces = glob.glob(f"{key}/d*", root_dir=self.root)
        spaces = [space for space in spaces if re.fullmatch(r"d\d+", Path(space).name)]
        return [Path(space, kind, check_name(name)) for space in sorted(spaces)]


def kind_at(place: Path) -> str:
    """The kind of the artifact that stands at a place."""
    return "backbone" if len(place.parts) == 1 else place.parts[2]
