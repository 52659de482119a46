"""README's commands, from top to bottom, as one script that stops at the first failure.

It works in an empty folder with a registry and a cache of its own, beside small inputs that
`readme_inputs.py` makes. `--abi` names the command of the environment that is tried: an empty one
with the wheel and the extra `all`, which this script, having no needs, does not run in. What is
left out is printed with the reason.

    python tests/benchmarks/readme.py --abi /tmp/clean/bin/abi --folder build/readme --out FILE.json

`--brief` cuts the budgets of what takes long, by options that are printed with the command: what
another version of Python breaks does not rest on steps or tokens. `--from` and `--until` run a
part, `--list` prints the script alone, and `--out` keeps versions, exit codes and seconds, a run of
each version of Python, filled in where a part is run again. Processor seconds are told apart, as a
shared machine stretches the others.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXPECTED = {"abi nib --anchor python@ref-llama": 3}
"""Exit codes other than 0 that README announces, by the start of the command."""
ELSEWHERE = {"abi verify": 3}
"""Those of whole commands on another Python than RECORDED, whose standard library is other text."""
RECORDED = "3.11"
LEFT_OUT = {
    "pip install": "done before: it is the environment that is tried",
    "make demo": "`abi demo` in the checkout's own .venv",
    "make test": "the tests, in the checkout's own .venv",
    ". .venv/bin/activate": "the environment that is tried stands first in PATH",
    "python tests/benchmarks/bench_transfer.py": "two hours: the table above it",
    "make real": "fetches two models; hours",
    "abi demo --real": "needs `make real`",
    "abi eval python-from-ref-gpt2@ref-llama --tasks": "fetches hellaswag and arc_easy",
}
"""Commands that are not run, by their start, and why."""
SERVERS = {"abi studio": 8471}
"""Commands that run until Ctrl-C, with their port: one page is fetched, then they are stopped."""
BRIEF = {
    "abi train": "--steps 20 --tokens 20000 --eval-tokens 2000",
    "abi transfer --module python@ref-gpt2 --to ref-gpt2-b": "--steps 10 --excerpts 80",
    "abi transfer": "--excerpts 80 --eval-tokens 2000",
    "abi calibrate": "--steps 10 --excerpts 80",
    "abi capture": "--max-tokens 100000",
    "abi invariance": "--steps 10 --eval-tokens 2000",
    "abi gate": "--tokens 5000 --eval-tokens 2000",
    "abi trace": "--documents 4",
    "abi basis fit": "--tokens 5000",
    "abi basis allocate": "--tokens 5000",
    "abi basis adapt code@ref-gpt2 --compress": "--eval-tokens 2000",  # it trains nothing
    "abi basis adapt": "--steps 10 --tokens 20000 --calibration-tokens 1000 --eval-tokens 2000",
    "abi basis compare": "--steps 4 --eval-tokens 1000 --calibration-tokens 1000 --tokens 20000",
    "abi analyze": "--windows 4",
    "abi inject": "--excerpts 40",
    "abi fuse": "--steps 10 --eval-tokens 2000",
    "abi embed-init": "--eval-tokens 2000 --calibration-tokens 2000",
    "abi uq": "--eval-tokens 2000",
    "abi perplexity": "--eval-tokens 2000",
    "abi advise": "--impact-tokens 500",
}
"""Options that `--brief` adds, by the start of the command."""
PACKAGES = (
    "abi-transplant", "torch", "transformers", "numpy", "scipy", "peft", "accelerate", "typer",
    "h5py",
)  # fmt: skip
"""Whose versions are kept with a run."""
COMMAND = re.compile(r"    ((?:abi|torchrun|python|pip|make|\.) .*?)(?:\s+#\s.*)?$")


def commands_of(text: str) -> Iterator[str]:
    """The indented commands of a document without their comments, and its blocks of Python."""
    text = re.sub(r"\\\n\s*", "", text)
    for block, line in re.findall(r"^```python\n(.*?)^```|^(    [^\n]*)$", text, re.S | re.M):
        if block:
            yield f"python - <<'END'\n{block}END"
        elif found := COMMAND.match(line):
            yield found[1]


def row_for(command: str, table: dict[str, Any]) -> Any:
    """What a table has for a command, by its start; None for nothing."""
    return next((row for start, row in table.items() if command.startswith(start)), None)


def reason_against(command: str) -> str | None:
    """Why a command is not run; None where it is."""
    return row_for(command, LEFT_OUT)


def expected_code(command: str, python: str = f"{RECORDED}.0") -> int:
    """The exit code that README announces, on a version of Python."""
    if command in ELSEWHERE and not python.startswith(f"{RECORDED}."):
        return ELSEWHERE[command]
    return row_for(command, EXPECTED) or 0


def cut(command: str) -> str:
    """A command with smaller budgets, before what it is piped to, in the place of its own."""
    more = re.findall(r"--\S+ \S+", row_for(command.removeprefix(TORCHRUN), BRIEF) or "")
    for name in (one.split()[0] for one in more):
        command = re.sub(rf" {name} \S+", "", command)
    head, sign, rest = re.fullmatch(r"(.*?)( [|>] |$)(.*)", command, re.S).groups()  # type: ignore[union-attr]
    return " ".join([head, *more]) + sign + rest


TORCHRUN = "torchrun --nproc-per-node 2 --no-python "


def serve(command: str, port: int, folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """What a server prints, and its exit code, as it is asked for a page and stopped by Ctrl-C."""
    with open(folder / "server.log", "w+", encoding="utf-8") as log:
        server = subprocess.Popen(
            command.split(), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        page, until = "", time.monotonic() + 120
        while not page and server.poll() is None and time.monotonic() < until:
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    page = answer.read().decode("utf-8")
            except OSError:
                continue
        server.send_signal(signal.SIGINT)
        code = server.wait(timeout=60)
        log.seek(0)
        return code if "<html" in page else 1, log.read()


def run(command: str, folder: Path, environment: dict[str, str], python: str) -> dict[str, Any]:
    """Runs one command and prints what came of it, its words where that is not what README says."""
    started, before = time.monotonic(), os.times()
    if port := row_for(command, SERVERS):
        code, said = serve(command, port, folder, environment)
    else:
        ran = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command], cwd=folder, env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        code, said = ran.returncode, ran.stdout
    after = os.times()
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    seconds, wanted = time.monotonic() - started, expected_code(command, python)
    print(f"    exit {code}, {seconds:.0f} s, {spent:.0f} of the processor", flush=True)
    if code != wanted:
        print(f"FAILED, {wanted} was expected\n{said[-4000:]}", flush=True)
    return {
        "command": command, "exit": code, "expected": wanted, "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
    }  # fmt: skip


def versions_of(python: Path) -> dict[str, str]:
    """Versions of Python and of what a run rests on, in the environment that is tried."""
    asked = (
        "import importlib.metadata as m, json, platform, sys;"
        "python = {'python': platform.python_version()};"
        "print(json.dumps({**python, **{one: m.version(one) for one in sys.argv[1:]}}))"
    )
    command = [python, "-c", asked, *PACKAGES]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)


def keep(
    path: Path, versions: dict[str, str], brief: bool, rows: list[dict[str, Any]],
    order: Sequence[str],
) -> None:  # fmt: skip
    """Puts commands among those of a file: a run for each version of Python, whole and brief.

    Args:
        path: the file.
        versions: of the environment that is tried.
        brief: whether budgets were cut.
        rows: what came of commands; they take the place of what is on record of the same ones.
        order: the whole script; what is on record and no longer in it is dropped.
    """
    stored = json.loads(path.read_text("utf-8"))["runs"] if path.exists() else []
    runs = {(one["versions"]["python"], one["brief"]): one for one in stored}
    before = runs.get((versions["python"], brief), {"commands": []})["commands"]
    known = {row["command"]: row for row in [*before, *rows]}
    kept = [known[one] for one in order if one in known]
    runs[versions["python"], brief] = {
        "date": date.today().isoformat(), "versions": versions, "brief": brief,
        "seconds": round(sum(row.get("seconds", 0) for row in kept)),
        "cpu_seconds": round(sum(row.get("cpu_seconds", 0) for row in kept)),
        "complete": len(kept) == len(order), "commands": kept,
    }  # fmt: skip
    text = json.dumps({"runs": [runs[key] for key in sorted(runs)]}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", "utf-8")


def part_of(commands: Sequence[str], first: str, until: str | None) -> Sequence[str]:
    """The commands from one that holds a text up to another, which is left out."""
    begin = next(n for n, one in enumerate(commands) if first in one)
    ends = (n for n, one in enumerate(commands) if until and until in one and n >= begin)
    return commands[begin : next(ends, None)]


def main(words: Sequence[str] | None = None) -> int:
    """Runs the commands of README; 1 as soon as one does not do what README says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--abi", type=Path, default=Path(sys.executable).with_name("abi"))
    parser.add_argument("--folder", type=Path, default=Path("build/readme"))
    parser.add_argument("--out", type=Path, help="A file of runs, to which this one is added.")
    parser.add_argument("--brief", action="store_true", help="With smaller budgets.")
    parser.add_argument("--from", dest="first", default="", help="Begin at a command with this.")
    parser.add_argument("--until", help="Stop before the next one with this.")
    parser.add_argument("--go-on", action="store_true", help="Go on after a failure; 1 at the end.")
    parser.add_argument("--list", action="store_true", help="Print the commands, run none.")
    asked = parser.parse_args(words)
    folder, bin_folder = asked.folder.absolute(), asked.abi.absolute().parent
    environment = {
        **os.environ, "ABI_REGISTRY": str(folder / "registry"), "ABI_CACHE": str(folder / "cache"),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    environment.pop("PYTHONPATH", None)
    if not asked.list and not (folder / "my-model.gguf").exists():
        inputs = Path(__file__).with_name("readme_inputs.py")
        subprocess.run([bin_folder / "python", inputs, folder], env=environment, check=True)
    whole = [
        cut(one) if asked.brief and not reason_against(one) else one
        for one in commands_of((ROOT / "README.md").read_text("utf-8"))
    ]
    versions = {} if asked.list else versions_of(bin_folder / "python")
    failed = False
    for command in part_of(whole, asked.first, asked.until):
        why = reason_against(command)
        print(f"LEFT OUT ({why}): {command}" if why else f"$ {command}", flush=True)
        if asked.list:
            continue
        row = {"command": command, "left_out": why}
        if not why:
            row = run(command, folder, environment, versions["python"])
        if asked.out:
            keep(asked.out, versions, asked.brief, [row], whole)
        failed |= row.get("exit") != row.get("expected")
        if failed and not asked.go_on:
            break
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
