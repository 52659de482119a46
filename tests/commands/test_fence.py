"""The last fence: usage errors, signals, streams and faults give one line, one code, one object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from commands.fence import EXIT_ERROR, run_fenced
from commands.output import Output
from transplant.errors import InputError, StorageError
from transplant.files.json_text import to_json
from transplant.files.results import SCHEMA_VERSION, write_json
from transplant.files.writable import check_writable
from transplant.schemas.table import ERROR, check_report

ABI = [sys.executable, "-c", "from commands.entry import main; main()"]


def run(*words: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ABI, *words], capture_output=options.pop("capture_output", True), text=True,
        timeout=120, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("train", "--steps", "many"),
        ("train", "--no-such-option"),
        ("train",),
        ("no-such-verb",),
        ("nib", "--anchor"),
        ("rm",),
        ("list", "--seed", "-1"),
        ("list", "--seed", str(2**63)),
        ("--no-such-option",),
        ("list", "--kind"),
        ("calibrate", "--from-activations", "a"),
    ],
)
def test_a_usage_error_is_one_object_and_exit_2(words, abi) -> None:
    ran = abi(*words, "--json")
    assert ran.code == 2
    assert {"error", "what", "hint"} <= ran.json.keys()
    assert "Traceback" not in ran.err
    plain = abi(*words)
    assert (plain.out, len(plain.err.splitlines())) == ("", 1)  # stdout stays for results


def test_rm_asks_on_a_terminal_alone(trained_abi) -> None:
    ran = trained_abi("rm", "tales@tiny-gpt2", "--json")
    assert (ran.code, ran.json["expected"]) == (1, "--yes beside --json")
    asked = trained_abi("rm", "tales@tiny-gpt2")  # stdin ends at once
    assert (asked.code, asked.out) == (1, "")
    assert trained_abi("show", "tales@tiny-gpt2").code == 0


def fenced(error: BaseException, capsys, **options) -> tuple[int, str, str]:
    def work() -> int:
        raise error

    code = run_fenced(work, Output(as_json=True), debug=False, **options)
    out, err = capsys.readouterr()
    return code, out, err


class Panic(BaseException):
    """What a Rust extension raises, which is no Exception."""


@pytest.mark.parametrize(
    "cause", [ZeroDivisionError("by zero"), RecursionError("deep"), KeyError("x\ny"), Panic("x")]
)
def test_a_fault_is_named_as_one_with_the_version(cause, capsys) -> None:
    code, out, err = fenced(cause, capsys)
    assert code == EXIT_ERROR
    assert "fault of abi" in json.loads(out)["what"]
    assert type(cause).__name__ in json.loads(out)["found"]
    assert (len(err.splitlines()), "Traceback" in err) == (1, False)


@pytest.mark.parametrize(
    ("cause", "word"),
    [
        (KeyboardInterrupt(), "interrupted"),
        (MemoryError(), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), "memory"),
        (PermissionError(13, "Permission denied", "/a/file"), "/a/file"),
        (OSError(28, "No space left on device"), "the disk is full"),
        (OSError(28, "No space left on device", "/a/file"), "the disk is full: /a/file"),
        (InputError("`learning_rate` is 0"), "--learning-rate"),
    ],
)
def test_what_is_no_fault_is_called_so(cause, word, capsys) -> None:
    code, out, _ = fenced(cause, capsys, flags={"learning_rate": "--learning-rate"})
    assert code == (130 if isinstance(cause, KeyboardInterrupt) else EXIT_ERROR)
    assert word in json.loads(out)["what"]
    assert "fault of abi" not in out


def test_a_result_that_was_printed_stays_the_only_object(capsys) -> None:
    out = Output(as_json=True)

    def work() -> int:
        out.result({"a": 1}, "")
        raise StorageError("too late")

    assert run_fenced(work, out, debug=False) == EXIT_ERROR
    assert json.loads(capsys.readouterr().out) == {"schema_version": SCHEMA_VERSION, "a": 1}


@pytest.mark.parametrize(
    ("debug", "asked", "shown"), [(False, [], 0), (True, [], 1), (False, ["default"], 1)]
)
def test_warnings_of_libraries_are_shown_to_who_asks_for_them(
    debug, asked, shown, monkeypatch
) -> None:
    """PEFT, transformers and torch warn those who program with them, between bars and results."""
    monkeypatch.setattr(sys, "warnoptions", asked)

    def work() -> int:
        warnings.warn("deprecated", FutureWarning, stacklevel=1)
        return 0

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert run_fenced(work, Output(), debug=debug) == 0
    assert len(seen) == shown


def test_debug_shows_the_traceback_beside_the_object(trained_abi) -> None:
    ran, plain = (trained_abi("list", "--json", "--kind", "x", *more) for more in (["--debug"], []))
    assert (ran.code, ran.json) == (1, plain.json)
    assert ("Traceback" in ran.err, "Traceback" in plain.err) == (True, False)


def test_json_is_strict_and_numbers_stay_numbers() -> None:
    odd = {
        "nan": float("nan"), "inf": [np.inf, -1.5], "np": np.float32(0.5), "int": np.int64(3),
        "t": torch.tensor([1, 2]), "path": Path("a"), "bytes": os.fsdecode(b"\xff"),
        "half": "\ud800", 3: (True, None),
    }  # fmt: skip
    found = json.loads(to_json(odd, 2), parse_constant=pytest.fail)
    assert found == {
        "nan": None, "inf": [None, -1.5], "np": 0.5, "int": 3, "t": [1, 2], "path": "a",
        "bytes": "\\xff", "half": "\\ud800", "3": [True, None],
    }  # fmt: skip


def test_places_that_cannot_be_written_are_refused(tmp_path) -> None:
    (tmp_path / "file").touch()
    check_writable(tmp_path / "new" / "out.json")  # control
    check_writable(tmp_path, folder=True)
    with pytest.raises(InputError, match="a folder"):
        check_writable(tmp_path)
    with pytest.raises(InputError, match="a file"):
        check_writable(tmp_path / "file", folder=True)
    with pytest.raises(InputError, match="a device"):
        check_writable(Path(os.devnull))
    with pytest.raises(InputError, match="a device"):
        write_json(Path(os.devnull), {})
    with pytest.raises(InputError, match="a folder above"):
        check_writable(tmp_path / "file" / "out.json")


def test_streams_and_folders_that_are_gone(tmp_path) -> None:
    gone = tmp_path / "gone"
    shell = f"{sys.executable} -c 'from commands.entry import main; main()'"
    env = {**os.environ, "PYTHONPATH": os.getcwd(), "ABI_REGISTRY": str(tmp_path / "registry")}
    for line, code in {
        f"{shell} list --json >&-": 1,
        f"{shell} list --json > /dev/full": 1,
        f"{shell} list --json 2>&-": 0,
        f"{shell} list --json <&- 2>&-": 0,
        f"{shell} list --json 2> /dev/full": 0,
        f"{shell} list --registry '~no-such-user/r'": 1,
        f"TERMINAL_WIDTH=x {shell} no-such-verb": 2,
        f"{shell} --help > /dev/full": 1,
        f"mkdir {gone} && cd {gone} && rmdir {gone} && {shell} list --json": 1,
        f"{shell} list --json < /dev/null | head -c 0": 0,
        f"LC_ALL=C PYTHONIOENCODING=ascii {shell} list": 0,
        f"COLUMNS=1 TERM=odd {shell} list": 0,
    }.items():
        ran = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, env=env, timeout=120
        )
        assert ran.returncode == code, (line, ran)
        assert "Traceback" not in ran.stderr, (line, ran.stderr)
        assert "Exception ignored" not in ran.stderr, (line, ran.stderr)
        assert code == 0 or len(ran.stderr.splitlines()) <= 1, (line, ran.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_in_one_object(number, code, trained_abi) -> None:
    env = {**os.environ, "ABI_REGISTRY": str(trained_abi.root)}
    words = ("nib", "--anchor", "tiny-gpt2", "--candidate", "tales@tiny-gpt2", "--json")
    running = subprocess.Popen(
        [*ABI, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    assert running.stderr is not None
    running.stderr.readline()  # "loading ...": the verb is at work
    running.send_signal(number)
    out, err = running.communicate(timeout=120)
    assert (running.returncode, "Traceback" in err) == (code, False), err
    assert json.loads(out)["what"] in ("interrupted", "terminated")
    check_report(ERROR, out)


def test_an_error_that_stderr_does_not_take_is_one_object() -> None:
    with open("/dev/full", "w") as full:
        ran = run("show", "x@ref-gpt2", "--json", stdout=subprocess.PIPE, stderr=full,
                  capture_output=False)  # fmt: skip
    assert (ran.returncode, json.loads(ran.stdout)["error"]) == (1, "NotFoundError")


def test_an_interruption_of_the_imports_is_one_object() -> None:
    code = f"""
import os, sys
class Interrupt:
    def find_spec(self, name, *_):
        if name == "rich":
            os.kill(os.getpid(), {int(signal.SIGINT)})
sys.meta_path.insert(0, Interrupt())
sys.argv = ["abi", "list", "--json"]
from commands.entry import main
main()
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, json.loads(ran.stdout)["what"]) == (130, "interrupted")
    check_report(ERROR, ran.stdout)
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "moment",
    ["typer.main.get_command", "commands.verb_help.VerbCommand.make_context",
     "commands.verb_help.VerbCommand.invoke", "commands.session.Output",
     "commands.session.run_verb"],
)  # fmt: skip
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_before_the_verb_is_at_work_is_one_object_too(moment, number, code) -> None:
    """Typer takes Ctrl-C for itself, and ends without a word."""
    stop = f"""
import os, sys
from unittest import mock
import commands.app
sys.argv = ["abi", "list", "--json"]
with mock.patch({moment!r}, side_effect=lambda *_, **__: os.kill(os.getpid(), {int(number)})):
    commands.app.main()
"""
    ran = subprocess.run([sys.executable, "-c", stop], capture_output=True, text=True)
    assert ran.returncode == code, ran.stderr
    assert json.loads(ran.stdout)["what"] in ("interrupted", "terminated")
    check_report(ERROR, ran.stdout)
    assert len(ran.stderr.splitlines()) == 1


def test_what_was_closed_is_never_the_number_of_a_file_of_ours() -> None:
    code = "import commands.fence as f; f.check_streams(); print(open('/dev/null').fileno())"
    ran = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{code}" <&- 2>&-'], capture_output=True, text=True
    )
    assert int(ran.stdout) > 2
