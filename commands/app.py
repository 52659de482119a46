"""The `abi` command, made of the table of its verbs."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from commands.errors import version_of_abi
from commands.fence import EXIT_ERROR, Fenced, check_streams, run_fenced
from commands.output import Output
from commands.session import as_command
from commands.verb_help import VerbCommand
from commands.verb_table import GROUPS, VERBS
from transplant.allocator import keep_freed_memory
from transplant.errors import TransplantError
from transplant.interruption import signals


def _show_version(asked: bool) -> None:
    if asked:
        print(f"abi {version_of_abi()}")
        raise typer.Exit()


_VERSION = typer.Option(
    "--version", "-V", callback=_show_version, is_eager=True,
    help="Show the version of abi and end.",
)  # fmt: skip
app = typer.Typer(
    name="abi",
    cls=Fenced,
    help="Move a domain module from one frozen language model into another, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback()
def _options(version: Annotated[bool, _VERSION] = False) -> None:  # pyright: ignore[reportUnusedFunction]
    # Typer takes the help of the command from `app`.
    assert not version  # `_show_version` has ended the run


def _home(group: str, panel: str) -> typer.Typer:
    """Where a verb of a group goes: an app of its own, which is made at its first verb."""
    if not group:
        return app
    if group not in _groups:
        _groups[group] = typer.Typer(no_args_is_help=True, help=GROUPS[group])
        app.add_typer(_groups[group], name=group, rich_help_panel=panel)
    return _groups[group]


_groups: dict[str, typer.Typer] = {}
for _panel, _names in VERBS.items():
    for _name in _names:
        _group, _, _own = _name.rpartition(" ")
        _home(_group, _panel).command(
            _own, cls=VerbCommand, rich_help_panel=None if _group else _panel
        )(as_command(_name))


def main() -> None:
    """Runs the command line of this process."""
    # Other libraries' bars would run into ours.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        check_streams()
    except TransplantError as closed:
        Output().error(closed)
        sys.exit(EXIT_ERROR)
    keep_freed_memory()
    with signals():  # also while the verbs' options are made, before their own fence stands
        sys.exit(run_fenced(_run, Output(as_json="--json" in sys.argv), debug=False))


def _run() -> int:
    return typer.main.get_command(app).main(standalone_mode=False)
