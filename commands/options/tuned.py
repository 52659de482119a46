"""A donor that is a base and its tuned copy, and the student that learns from it: `transfer`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options.move import MoveOptions
from transplant.calibration.students.recipe import LoraRecipe
from transplant.calibration.students.spec import AUTO, LORA, MODULE, STUDENTS
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
Teachers = Annotated[
    str | None,
    typer.Option(
        "--teachers",
        metavar="NAMES",
        help="In place of --module: several parts of the registry as one teacher, as "
        "python@ref-gpt2,python@ref-gpt2-b, of one tokenizer or not: their changes are averaged "
        "in the target's vocabulary.",
    ),
]
Domain = Annotated[
    str | None,
    typer.Option(
        "--domain", help="With --donor or --teachers: what was learned is about, as python."
    ),
]
Student = Annotated[
    str | None,
    typer.Option(
        "--student",
        help="What learns from it: "
        + "; ".join(f"{name} ({spec.says}; {spec.cost})" for name, spec in STUDENTS.items())
        + f"; {AUTO}: the best of those that are not slow here. Default: {AUTO}; of --module: "
        f"{MODULE}.",
    ),
]
OtherBase = Annotated[
    bool,
    typer.Option(
        "--other-base", help="Take a LoRA though it records that it was trained on another base."
    ),
]
NoIntercept = Annotated[
    bool,
    typer.Option(
        "--no-intercept",
        help="The student linear adds no constant: with --taps last it can be exported as a LoRA "
        "that merges.",
    ),
]
LoraRank = Annotated[
    int | None, typer.Option(help=f"Of the student lora: its rank. Default: {LoraRecipe.rank}.")
]
LoraAlpha = Annotated[
    float | None,
    typer.Option(help=f"The same: B A counts alpha / rank. Default: {LoraRecipe.alpha:g}."),
]
LoraTargets = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="The same: the linear maps that it changes, as q_proj,v_proj. Default: all but the "
        "head.",
    ),
]
LoraSteps = Annotated[
    int | None,
    typer.Option(help=f"The same: gradient steps at most. Default: {LoraRecipe.steps}."),
]


@dataclass(frozen=True, kw_only=True)
class TunedOptions:
    """The options of a tuned donor."""

    donor: Donor = None
    tuned: Tuned = None
    teachers: Teachers = None
    domain: Domain = None
    student: Student = None
    other_base: OtherBase = False
    no_intercept: NoIntercept = False
    lora_rank: LoraRank = None
    lora_alpha: LoraAlpha = None
    lora_targets: LoraTargets = None
    lora_steps: LoraSteps = None

    def module(self, module: str | None) -> str | None:
        """The module that is moved as it is; None where a student learns from a tuned copy.

        Raises:
            InputError: neither or both, or options that belong to the other.
        """
        given = {"--module": module, "--donor": self.donor, "--teachers": self.teachers}
        moved = [flag for flag, value in given.items() if value is not None]
        if len(moved) != 1:
            raise InputError(
                "what is moved",
                expected="--module, or --donor with --tuned and --domain, or --teachers with "
                "--domain",
                found=f"both {' and '.join(moved)}" if moved else "neither",
            )
        if module is not None:
            return self._whole(module)
        if self.donor is not None and self.tuned is None:
            raise InputError("--donor", expected="--tuned beside it, its tuned copy")
        if self.donor is not None and self.student == MODULE and "@" in (self.tuned or ""):
            return self.tuned  # `transfer` refuses it by name where it is no module
        if self.teachers is not None:
            self._refuse(
                "--donor", {"--tuned": self.tuned, "--other-base": self.other_base or None},
                "--teachers",
            )  # fmt: skip
        if self.domain is None:
            raise InputError(moved[0], expected="--domain beside it, as python")
        if self.student not in (None, AUTO, LORA):
            self._refuse(f"--student {LORA}", self._of_lora, self.student)
        return None

    def _whole(self, module: str) -> str:
        """The module, where no option says otherwise."""
        idle = {"--tuned": self.tuned, "--domain": self.domain,
                "--other-base": self.other_base or None,
                "--no-intercept": self.no_intercept or None, **self._of_lora}  # fmt: skip
        self._refuse("--donor", idle, "--module")
        if self.student not in (None, MODULE):
            raise InputError(
                f"--student {self.student} learns from a tuned copy",
                expected="--donor BACKBONE --tuned MODULE@BACKBONE", found="--module",
            )  # fmt: skip
        return module

    def _refuse(self, owner: str, idle: Mapping[str, object], found: str) -> None:
        for flag, value in idle.items():
            if value is not None:
                raise InputError(f"{flag} belongs to {owner}", found=found)

    @property
    def _of_lora(self) -> dict[str, object]:
        return {"--lora-rank": self.lora_rank, "--lora-alpha": self.lora_alpha,
                "--lora-targets": self.lora_targets, "--lora-steps": self.lora_steps}  # fmt: skip

    def recipe(self) -> LoraRecipe:
        """The recipe of the student lora, with what was asked for."""
        asked: dict[str, Any] = {
            "rank": self.lora_rank, "alpha": self.lora_alpha, "steps": self.lora_steps,
        }  # fmt: skip
        if self.lora_targets is not None:
            asked["targets"] = tuple(n.strip() for n in self.lora_targets.split(",") if n.strip())
        return LoraRecipe(**{name: value for name, value in asked.items() if value is not None})

    def move(self, session: Session, to: str, moving: MoveOptions) -> WholeTunedMove:
        """The move that they describe."""
        assert self.domain is not None
        config = replace(moving.config(session), intercept=not self.no_intercept)
        if self.teachers is not None:
            if moving.general is not None:
                raise InputError("--general belongs to one donor", found="--teachers")
            names = [name.strip() for name in self.teachers.split(",") if name.strip()]
            return session.move_taught(
                names, to, domain=self.domain, student=self.student or AUTO, pair_on=moving.data,
                domain_data=moving.domain_data, config=config, name=moving.name,
                lora=self.recipe(), text_free=moving.text_free,
            )  # fmt: skip
        assert self.donor is not None
        assert self.tuned is not None
        return session.move_tuned(
            self.donor, self.tuned, to, domain=self.domain, student=self.student or AUTO,
            pair_on=moving.data, domain_data=moving.domain_data, config=config,
            name=moving.name, other_base=self.other_base, lora=self.recipe(),
            text_free=moving.text_free, general=moving.general,
        )  # fmt: skip
