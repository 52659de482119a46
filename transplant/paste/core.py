"""A LayerCake core on the disk: a `save_pretrained` folder, one file or sharded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transplant.errors import CorruptError, InputError, NotFoundError, StorageError
from transplant.files import strict_json
from transplant.files.header import Header, TensorSpan, read_header

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MODEL_TYPE = "layercake"
_AGAIN = "copy or save the checkpoint again; `cores()` lists the others"


@dataclass(frozen=True)
class Core:
    """A core's configuration, and where each of its tensors lies."""

    path: Path
    """Its folder."""
    config: dict[str, Any]
    """Its config.json."""
    files: dict[str, Header]
    """Every weight file, by file name."""
    index: dict[str, Any] | None
    """The index of a sharded core; None for a single file."""
    stamps: dict[Path, tuple[int, int]]
    """Size and time of change of every file that was read, for `check_unchanged`."""

    @property
    def d_abi(self) -> int:
        """Width of the shared space."""
        return self.config["d_abi"]

    @property
    def router(self) -> bool:
        """Whether a router weighs the modules."""
        return self.config.get("router", False)

    @property
    def modules(self) -> dict[str, dict[str, Any]]:
        """The entry of each domain module in the configuration."""
        return self.config.get("domain_modules") or {}

    @property
    def tensors(self) -> dict[str, TensorSpan]:
        """Every tensor of every file."""
        return {name: span for file in self.files.values() for name, span in file.tensors.items()}

    def module_tensors(self, module: str) -> dict[str, TensorSpan]:
        """The tensors of a domain module by their names within it, sorted."""
        prefix = module_prefix(module)
        found = {n.removeprefix(prefix): s for n, s in self.tensors.items() if n.startswith(prefix)}
        return dict(sorted(found.items()))

    def check_unchanged(self) -> None:
        """Compare every file that was read with what it was.

        Raises:
            StorageError: one was changed or removed.
        """
        for path, stamp in self.stamps.items():
            if not path.exists() or _stamp(path) != stamp:
                what = f"{path} was changed while it was copied"
                raise StorageError(what, hint="run the command again")


def module_prefix(module: str) -> str:
    """How the names of a domain module's tensors begin."""
    return f"model.domain_modules.{module}."


def router_prefix(module: str) -> str:
    """How the names of a domain module's router row begin."""
    return f"model.routers.{module}."


def open_core(path: Path) -> Core:
    """Open a core's folder, and check everything that the headers and the configuration say.

    Raises:
        NotFoundError: no core there.
        InputError: another kind of model, or pickled weights.
        CorruptError: a broken configuration, index or weight file.
        StorageError: the disk refused to read it.
    """
    config = _read_config(path)
    single, index = path / SINGLE, path / INDEX
    if single.is_file() and index.is_file():
        raise CorruptError(
            f"{path}", expected=f"{SINGLE} or {INDEX}", found="both", hint=f"remove {index}"
        )
    read = [path / CONFIG]
    if single.is_file():
        parsed, files = None, {SINGLE: read_header(single, hint=_AGAIN)}
    elif index.is_file():
        parsed, files = _read_shards(path, _read_json(index))
        read.append(index)
    else:
        raise _no_weights(path)
    stamps = {file: _stamp(file) for file in (*read, *(path / name for name in files))}
    return Core(path, config, files, parsed, stamps)


def _read_config(path: Path) -> dict[str, Any]:
    file = path / CONFIG
    if not file.is_file():
        raise NotFoundError(
            f"{path}", expected="the folder of a layercake core", found="none", hint="`cores()`"
        )
    config = _read_json(file)
    kind = config.get("model_type")
    if kind != MODEL_TYPE:
        raise InputError(f"{file}: model_type", expected=MODEL_TYPE, found=kind, hint="`cores()`")
    width, modules = config.get("d_abi"), config.get("domain_modules") or {}
    if type(width) is not int or width < 1:
        raise CorruptError(f"{file}: d_abi", expected="a width of at least 1", found=repr(width))
    if not isinstance(modules, dict) or not all(isinstance(m, dict) for m in modules.values()):
        raise CorruptError(f"{file}: domain_modules", expected="an object of objects")
    if type(config.get("router", False)) is not bool:
        raise CorruptError(f"{file}: router", expected="true or false", found=config["router"])
    return config


def _read_shards(path: Path, index: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Header]]:
    """The index, checked against the shards, and the shards' headers by name."""
    places = index.get("weight_map")
    if not isinstance(places, dict) or not all(map(_is_plain_name, places.values())):
        raise CorruptError(
            f"{path / INDEX}: weight_map", expected="names of .safetensors files beside it"
        )
    files = {name: read_header(path / name, hint=_AGAIN) for name in sorted(set(places.values()))}
    found = [(tensor, file) for file, header in files.items() for tensor in header.tensors]
    if differ := set(found) ^ set(places.items()):
        tensor, file = min(differ)
        promised = places.get(tensor) == file
        raise CorruptError(
            f"{path / file}: {tensor}",
            expected="the tensor" if promised else f"no such tensor by {INDEX}",
            found="nothing" if promised else "one",
            hint="copy or save the checkpoint again",
        )
    return index, files


def _is_plain_name(name: object) -> bool:
    return isinstance(name, str) and name == Path(name).name and name.endswith(".safetensors")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return strict_json.parse_object(file.read_bytes())
    except ValueError as error:
        raise CorruptError(
            f"{file}", expected="a JSON object", found=error, hint="`cores()`"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error}") from error


def _no_weights(path: Path) -> InputError | NotFoundError:
    if pickled := sorted(file.name for file in path.glob("*.bin")):
        return InputError(
            f"{path}: pickled weights can run code when they are read",
            expected=SINGLE,
            found=", ".join(pickled[:3]),
            hint="save it with save_pretrained, which writes safetensors",
        )
    return NotFoundError(f"{path}", expected=f"{SINGLE} or {INDEX}", found="neither")


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
