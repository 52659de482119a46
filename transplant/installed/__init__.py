"""The packages `registry` and `commands` under names that no file of a user's can take.

Both names are common, and what lies beside a script comes first on `sys.path`. A wheel holds the
two in this folder. A checkout holds them beside the library: there they are loaded from their
files, once, as `transplant.installed.registry` and `transplant.installed.commands`. The command
itself puts the folder of the two first on its own path, and has their plain names.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

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


for _package in ("registry", "commands"):
    if not (_HERE / _package).is_dir():
        _load(_package)
