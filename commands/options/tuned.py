"""A donor that is a base and its tuned copy, and the student that learns from it: `transfer`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options.move import MoveOptions
from transplant.calibration.students.spec import AUTO, MODULE, STUDENTS
from transplant.errors import InputError

if TYPE_CHECKING:
    from commands.session import Session
    from transplant.workflows.tuned.whole import WholeTunedMove

MovedModule = Annotated[
    str | None, typer.Option("--module", help="The module to move, as in python@ref-gpt2.")
]
Donor = Annotated[
    str | None, typer.Option("--donor", help="In place of --module: the base that was tuned.")
]
Tuned = Annotated[
    str | None,
    typer.Option(
        "--tuned",
        help="With --donor: its tuned copy: a folder of PEFT or of save_pretrained, a hub id, a "
        "backbone of the registry, or NAME@DONOR.",
    ),
]
Domain = Annotated[
    str | None,
    typer.Option("--domain", help="With --donor: what the tuned copy is about, as python."),
]
Student = Annotated[
    str | None,
    typer.Option(
        "--student",
        help="What learns from it: "
        + "; ".join(f"{name} ({spec.says}; {spec.cost})" for name, spec in STUDENTS.items())
        + f"; {AUTO}: the best of them on the calibration split. Default: {AUTO}; of --module: "
        f"{MODULE}.",
    ),
]
OtherBase = Annotated[
    bool,
    typer.Option(
        "--other-base", help="Take a LoRA though it records that it was trained on another base."
    ),
]


@dataclass(frozen=True, kw_only=True)
class TunedOptions:
    """The options of a tuned donor."""

    donor: Donor = None
    tuned: Tuned = None
    domain: Domain = None
    student: Student = None
    other_base: OtherBase = False

    def module(self, module: str | None) -> str | None:
        """The module that is moved as it is; None where a student learns from a tuned copy.

        Raises:
            InputError: neither or both, or options that belong to the other.
        """
        if (module is None) == (self.donor is None):
            raise InputError(
                "what is moved", expected="--module, or --donor with --tuned and --domain",
                found="neither" if module is None else "both",
            )  # fmt: skip
        if module is not None:
            idle = {"--tuned": self.tuned, "--domain": self.domain,
                    "--other-base": self.other_base or None}  # fmt: skip
            for flag, value in idle.items():
                if value is not None:
                    raise InputError(f"{flag} belongs to --donor", found="--module")
            if self.student not in (None, MODULE):
                raise InputError(
                    f"--student {self.student} learns from a tuned copy",
                    expected="--donor BACKBONE --tuned MODULE@BACKBONE", found="--module",
                )  # fmt: skip
            return module
        if self.tuned is None:
            raise InputError("--donor", expected="--tuned beside it, its tuned copy")
        if self.student == MODULE and "@" in self.tuned:
            return self.tuned  # `transfer` refuses it by name where it is no module
        if self.domain is None:
            raise InputError("--donor", expected="--domain beside it, as python")
        return None

    def move(self, session: Session, to: str, moving: MoveOptions) -> WholeTunedMove:
        """The move that they describe."""
        assert self.donor is not None
        assert self.tuned is not None
        assert self.domain is not None
        return session.move_tuned(
            self.donor, self.tuned, to, domain=self.domain, student=self.student or AUTO,
            pair_on=moving.data, domain_data=moving.domain_data, config=moving.config(session),
            name=moving.name, other_base=self.other_base,
        )  # fmt: skip
