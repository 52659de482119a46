"""The last fence of the command line: one line, one exit code, one JSON value, come what may."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from typer import Abort
from typer.core import TyperGroup

from commands.errors import FaultError, in_flags
from commands.former_names import former_names_in
from commands.output import Output
from transplant.errors import InputError, StorageError, named_error
from transplant.interruption import TerminatedError, exit_of

EXIT_ERROR, EXIT_USAGE, EXIT_NOT_PASSED = 1, 2, 3
EXIT_INTERRUPTED = exit_of(KeyboardInterrupt())
STREAMS = ("stdin", "stdout", "stderr")


class Fenced(TyperGroup):
    """The command `abi`: usage errors and what escapes from a verb stay inside the fence, too."""

    def main(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Any = None, prog_name: Any = None, complete_var: Any = None,
        standalone_mode: bool = True, windows_expand_args: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        """Parses the words, runs the verb and exits with its code."""
        words = [*(sys.argv[1:] if args is None else args)]

        verb = _verb_of(words, self.commands)

        def run() -> int:
            try:
                code = super(Fenced, self).main(
                    args=_json_first(words, len(verb.split())) if verb else args,
                    prog_name=prog_name, complete_var=complete_var, standalone_mode=False,
                    windows_expand_args=windows_expand_args, **extra,
                )  # fmt: skip
            except _StoppedError as stopped:
                raise stopped.stop from None
            return code if isinstance(code, int) else 0

        out = Output(as_json="--json" in words, quiet=bool({"--quiet", "-q"} & {*words}))
        for note in former_names_in(verb, words):
            out.note(note)
        code = run_fenced(run, out, debug="--debug" in words, verb=verb)
        if not standalone_mode:
            return code
        sys.exit(code)

    def make_context(self, *args: Any, **options: Any) -> Any:
        """Reads the words; a signal meanwhile is not Typer's to answer."""
        with _not_answered():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        """Runs the verb; a signal outside of its own fence is not Typer's to answer."""
        with _not_answered():
            return super().invoke(ctx)


class _StoppedError(BaseException):
    """A signal on its way through Typer, which would end without a word."""

    def __init__(self, stop: KeyboardInterrupt) -> None:
        super().__init__()
        self.stop = stop


@contextlib.contextmanager
def _not_answered() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as stop:
        raise _StoppedError(stop) from stop


def run_fenced(
    work: Callable[[], int],
    out: Output,
    *,
    debug: bool,
    flags: Mapping[str, str] | None = None,
    verb: str | None = None,
) -> int:
    """Runs something and turns what it raises into one line and an exit code.

    Args:
        work: what is run; it returns an exit code.
        out: where the line goes, and under `--json` the object.
        debug: whether named errors and faults show their tracebacks, and other libraries their
            warnings.
        flags: the flag of each parameter, for errors that name parameters.
        verb: the verb's name, for the hint of a usage error.
    """
    try:
        with _no_warnings(debug):
            code = work()
        out.flush()
        return code
    except GeneratorExit:
        raise
    except Abort:
        out.error(InputError("aborted: nothing was done"))
        return EXIT_ERROR
    except KeyboardInterrupt as stop:
        out.error(InputError("terminated" if isinstance(stop, TerminatedError) else "interrupted"))
        return exit_of(stop)
    except BrokenPipeError:  # the reader of our stdout has left, as `| head` does
        _silence(sys.stdout)
        return EXIT_ERROR
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else EXIT_ERROR
    except BaseException as error:  # a panic of a Rust extension is no Exception
        if _is_usage(error):
            return _usage(error, out, verb)
        if debug:
            with contextlib.suppress(OSError):
                traceback.print_exception(error)
        out.error(in_flags(named_error(error) or FaultError(error), flags or {}))
        return EXIT_ERROR


@contextlib.contextmanager
def _no_warnings(debug: bool) -> Iterator[None]:
    """Keeps off the terminal what libraries tell those who program with them.

    `--debug` shows it, and so does Python where it was asked to (`-W`, `PYTHONWARNINGS`).
    """
    with warnings.catch_warnings():
        if not debug and not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


def check_streams() -> None:
    """Makes the standard streams usable whatever the caller left of them.

    Raises:
        StorageError: stdout is closed: a result would be lost.
    """
    closed = {number: name for number, name in enumerate(STREAMS) if _is_closed(number)}
    for number, name in closed.items():
        # Left closed, its number would go to the next file of ours, and what is printed into that.
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
    if "stdout" in closed.values():
        raise StorageError("stdout is closed", expected="somewhere to print the result")
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(
            AttributeError, ValueError
        ):  # a stream of a test, or a detached one
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]


def _is_closed(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return True
    return False


def check_working_directory() -> None:
    """Refuses to run in a folder that is gone.

    Raises:
        StorageError: the working directory was removed.
    """
    try:
        os.getcwd()
    except OSError as error:
        raise StorageError("the working directory is gone", hint="cd to one that exists") from error


def _verb_of(words: list[str], commands: Mapping[str, Any]) -> str | None:
    """The verb that words begin with, of a group with its second word; None for none."""
    if not words or words[0] not in commands:
        return None
    inside: Mapping[str, Any] = getattr(commands[words[0]], "commands", {})
    if not inside:
        return words[0]
    return " ".join(words[:2]) if len(words) > 1 and words[1] in inside else None


def _json_first(words: list[str], verb: int) -> list[str]:
    """The same words with `--json` behind the verb: no option before it takes it for its value.

    Args:
        words: all of them.
        verb: how many of them are the verb.
    """
    end = words.index("--") if "--" in words else len(words)
    moved = ["--json"] if "--json" in words[:end] else []
    left = (word for word in words[verb:end] if word != "--json")
    return [*words[:verb], *moved, *left, *words[end:]]


def _is_usage(error: BaseException) -> bool:
    """Whether it is Typer's own: the class is vendored and has no public name."""
    return hasattr(error, "exit_code") and hasattr(error, "format_message")


def _usage(error: Any, out: Output, verb: str | None) -> int:
    text = " ".join(error.format_message().split()).rstrip(".")
    if not text:  # no words at all: the help was printed
        return EXIT_USAGE
    help_of = f"abi {verb} --help" if verb else "abi --help"
    out.error(InputError(text, hint=help_of))
    return EXIT_USAGE


def _silence(stream: Any) -> None:
    """Sends what is still to be written nowhere: at exit it would be tried again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
