"""README's commands, from top to bottom, as one script that stops at the first failure.

It works in an empty folder with a registry of its own, beside small inputs that it makes. What it
leaves out is printed with the reason. Everything takes hours on two cores; `--from` and `--until`
run a part, and `--list` prints the script alone.

    python tests/benchmarks/readme.py --abi .venv/bin/abi --folder build/readme
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXPECTED = {"abi nib --anchor python@ref-llama": 3}
"""Exit codes other than 0 that README announces, by the start of the command."""
LEFT_OUT = {
    "abi add ./my-model.gguf": "needs a .gguf file",
    "abi transfer --donor ./my-model --tuned ./my-lora": "needs a LoRA of PEFT",
    "abi basis compare": "a day: a search for each of PEFT's adapters",
    "abi fuse": "needs a module trained on games of chess",
    "abi merge": "needs a recipe over two models of one architecture",
    "abi demo --real": "needs `make real`",
    "torchrun": "needs `make real`",
    "abi export law@./my-other-model": "sends to the hub",
    "abi validate": "needs a file of gates",
    "abi studio": "a server: it runs until Ctrl-C",
    "abi run": "needs a recipe of the user's",
    "abi show python-from-ref-gpt2@ref-llama --recipe": "needs `abi run`",
    "abi eval": "fetches hellaswag and arc_easy",
}
"""Commands that are not run, by their start, and why."""


def commands_of(text: str) -> Iterator[str]:
    """The indented lines of a document that are commands of `abi`, without their comments."""
    for line in text.splitlines():
        found = re.match(r"    ((?:abi|torchrun) .*?)(?:\s+#\s.*)?$", line)
        if found:
            yield found[1]


def reason_against(command: str) -> str | None:
    """Why a command is not run; None where it is."""
    return next((why for start, why in LEFT_OUT.items() if command.startswith(start)), None)


def expected_code(command: str) -> int:
    """The exit code that README announces."""
    return next((code for start, code in EXPECTED.items() if command.startswith(start)), 0)


def put_inputs(folder: Path) -> None:
    """Small models and texts in the place of those that README calls the reader's own."""
    import transplant

    for name, backbone in (("my-model", "ref-gpt2"), ("my-other-model", "ref-llama")):
        hosted = transplant.load(backbone)
        hosted.backbone.model.save_pretrained(folder / name)
        hosted.tokenizer.save_pretrained(folder / name)
    sources = sorted(Path(os.__file__).parent.glob("*.py"))
    texts = [source.read_text("utf-8", "replace") for source in sources[:120]]
    rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
    (folder / "law.jsonl").write_text(rows, "utf-8")
    prose = sorted((Path(sys.prefix) / "lib").rglob("*.dist-info/METADATA"))[:60]
    told = "\n\n".join(file.read_text("utf-8", "replace") for file in prose)
    (folder / "any-text.txt").write_text(told, "utf-8")


def run(command: str, folder: Path, environment: dict[str, str]) -> bool:
    """Runs one command and prints what came of it; false where that is not what README says."""
    started = time.monotonic()
    ran = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=folder, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wanted = expected_code(command)
    print(f"    exit {ran.returncode}, {time.monotonic() - started:.0f} s", flush=True)
    if ran.returncode != wanted:
        print(f"FAILED, {wanted} was expected\n{ran.stdout[-2000:]}\n{ran.stderr[-2000:]}")
    return ran.returncode == wanted


def main(words: Sequence[str] | None = None) -> int:
    """Runs the commands of README; 1 as soon as one does not do what README says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--abi", type=Path, default=Path(sys.executable).with_name("abi"))
    parser.add_argument("--folder", type=Path, default=Path("build/readme"))
    parser.add_argument("--from", dest="first", default="", help="Begin at a command with this.")
    parser.add_argument("--until", help="Stop before the next one with this.")
    parser.add_argument("--list", action="store_true", help="Print the commands, run none.")
    asked = parser.parse_args(words)
    folder = asked.folder.absolute()
    environment = {
        **os.environ, "ABI_REGISTRY": str(folder / "registry"),
        "PATH": f"{asked.abi.absolute().parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    if not asked.list and not (folder / "my-model").exists():
        folder.mkdir(parents=True, exist_ok=True)
        put_inputs(folder)
    begun = False
    for command in commands_of((ROOT / "README.md").read_text("utf-8")):
        begun = begun or asked.first in command
        if not begun:
            continue
        if asked.until is not None and asked.until in command:
            break
        why = reason_against(command)
        print(f"LEFT OUT ({why}): {command}" if why else f"$ {command}", flush=True)
        if not asked.list and not why and not run(command, folder, environment):
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
