"""The packages `registry` and `commands` under names that no file of a user's can take.

Both names are common, and what lies beside a script comes first on `sys.path`. A wheel holds the
two in this folder. A checkout holds them beside the library: there they are loaded from their
files, once, as `transplant.installed.registry` and `transplant.installed.commands`. The command
itself puts the folder of the two first on its own path, and has their plain names.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

NAMES = ("registry", "commands")
_HERE = Path(__file__).parent
_CHECKOUT = _HERE.parents[1]


def _load(package: str) -> None:
    """Loads a package of the checkout as one of this package; its modules follow by its path."""
    name, folder = f"{__name__}.{package}", _CHECKOUT / package
    spec = spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None or not folder.is_dir():
        return  # the library alone: `installed_library` says what is missing
    module = module_from_spec(spec)
    sys.modules[name] = globals()[package] = module
    spec.loader.exec_module(module)


for _package in NAMES:
    if not (_HERE / _package).is_dir():
        _load(_package)

_ours: dict[str, ModuleType] = {}  # under their plain names, between two blocks


@contextmanager
def plain_names() -> Iterator[None]:
    """Has `commands` and `registry` be these packages inside the block, as they call one another.

    Modules of those names that are somebody else's are set aside, and are back after it.
    """
    home = _HERE if (_HERE / "commands").is_dir() else _CHECKOUT
    if _is_ours("commands", home):
        yield  # this process is the command, or one that has its folder on its path
        return
    theirs = _set_aside()
    sys.modules.update(_ours)
    sys.path.insert(0, str(home))
    try:
        yield
    finally:
        sys.path.remove(str(home))
        _ours.update(_set_aside())
        sys.modules.update(theirs)


def _is_ours(name: str, home: Path) -> bool:
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and Path(file).parent == home / name


def _set_aside() -> dict[str, ModuleType]:
    """Takes all modules of the two names out, and returns them."""
    names = [name for name in sys.modules if name.partition(".")[0] in NAMES]
    return {name: sys.modules.pop(name) for name in names}
