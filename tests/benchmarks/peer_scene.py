"""The setting of a comparison of peers: a donor, its LoRAs, a target and their moves."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.benchmarks.peer_lora import ALPHA, RANK, Trained, train
from tests.benchmarks.stages import Stages, staged_move
from transplant.alignment.tokens import count_tokens
from transplant.backbones.view import Backbone
from transplant.calibration.changes.spec import LACKING
from transplant.calibration.config import LEFT_OUT, MoveConfig
from transplant.calibration.students.lora_gain import lora_gain, still, text_loss
from transplant.calibration.students.recipe import LoraRecipe
from transplant.evaluation.likelihood import System
from transplant.surgery.lora.folder import CONFIG, read_lora
from transplant.surgery.lora.hosted import LoraModel
from transplant.surgery.lora.match import match_lora
from transplant.surgery.lora.update import LoraUpdate
from transplant.text.windows import Window
from transplant.workflows.corpus import DONOR, read_splits, windows_of
from transplant.workspace import Workspace

TRAIN_TOKENS, BUDGET = 400_000, 12_000
OTHER, OTHER_STEPS = "prose2", 100
GAINS = MoveConfig.gains
RECIPE = LoraRecipe(rank=RANK, alpha=ALPHA, steps=80, rates=(1.5e-3,), patience=3)
TEXTS = {"prose": "prose", "unlabelled": None, "written": DONOR}
"""What a method is paired on, by the last word of its name; None for the domain's own text."""


@dataclasses.dataclass
class Made:
    """What a cell has made."""

    system: System
    seconds: float
    """Of the processor, of all that a move of the LoRA would cost with it."""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    backbone: Backbone | None = None
    """What is scored with it, where that is not the target as it is."""


class Unfinished(Exception):
    """There was no more time: the next run goes on."""


@dataclasses.dataclass
class Scene:
    """A donor, a target, a domain and a seed; what cells share is made once."""

    donor_name: str
    target_name: str
    domain: str
    seed: int
    folder: Path
    excerpts: int
    deadline: float
    excerpt_chars: int = MoveConfig.excerpt_chars
    steps: int = 250
    """Of training, of the donor's LoRA and of the retrained one."""
    inside: str = LEFT_OUT
    """What is wanted inside a donor's tokens, as of `MoveConfig`."""
    taught_steps: int = RECIPE.steps
    """Of the student lora."""
    guidance: float = MoveConfig.guidance
    """The factor on what the donor learned while it writes, as of `MoveConfig`."""
    tuned: Path | None = None
    """A LoRA of the donor that is there already, as PEFT saves it, or a full fine-tune of it as
    `save_pretrained` does; None: a LoRA is trained here."""

    def __post_init__(self) -> None:
        self.work = Workspace(seed=self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._moves: dict[tuple[str, str], Any] = {}
        self.seconds: dict[tuple[str, str], float] = {}
        """Of the processor: text, pairs and the student linear of each move."""

    @cached_property
    def donor(self) -> Backbone:
        """The donor's base."""
        return self.work.backbone(self.donor_name)

    @cached_property
    def target(self) -> Backbone:
        """The target, frozen."""
        return self.work.backbone(self.target_name)

    @cached_property
    def held(self) -> list[Window]:
        """Of the domain's calibration split: it chooses gains and steps."""
        text = read_splits(self.work, self.domain).calibration
        return windows_of(self.target, text, 512, BUDGET)

    def trained(
        self, backbone: Backbone, domain: str, steps: int, tokens: int | None = None
    ) -> Trained:
        """A LoRA of a backbone; `tokens` of the calibration split alone, where they are given.

        Raises:
            Unfinished: the time is over.
        """
        splits = read_splits(self.work, domain)
        held = windows_of(backbone, splits.calibration, 512, BUDGET)
        some = held if tokens else windows_of(backbone, splits.train, 512, TRAIN_TOKENS)
        if tokens:  # as much labelled text as chooses a gain, a quarter of it to stop by
            held, some = some[::4], [w for number, w in enumerate(some) if number % 4]
        name = f"{backbone.name}-{domain}-{steps}-{tokens}-{self.seed}.pt"
        found = train(backbone, some, held, steps, self.seed, self.folder / name, self.deadline)
        if not found.done:
            raise Unfinished(f"{name}: step {found.history[-1:]}")
        return found

    @property
    def retrained(self) -> Trained:
        """A LoRA of the target: the ceiling of all moves.

        Raises:
            Unfinished: the time is over.
        """
        return self.trained(self.target, self.domain, self.steps)

    @property
    def is_whole(self) -> bool:
        """Whether the donor is a full fine-tune."""
        return self.tuned is not None and not (self.tuned / CONFIG).is_file()

    def donor_lora(self, domain: str) -> tuple[LoraUpdate, str]:
        """The donor's LoRA of a domain, and its name in the library."""
        if domain == self.domain and self.tuned is not None:
            update = match_lora(read_lora(self.tuned), self.donor)
        else:
            steps = self.steps if domain == self.domain else OTHER_STEPS
            update = self.trained(self.donor, domain, steps).update
        name, library = f"peer-{domain}-{self.steps}-{self.seed}", self.work.library
        if library.get("adapter", name, self.donor_name, None) is None:
            train_split = read_splits(self.work, domain).train
            windows = windows_of(self.donor, train_split, 512, TRAIN_TOKENS)
            counts = count_tokens((i for w in windows for i in w.ids), self.donor.tokenizer)
            library.store(
                "adapter", name, update.as_tensors(), backbone=self.donor, domain=domain,
                made={"scales": update.scales(), "token_counts": counts},
            )  # fmt: skip
        return update, f"{name}@{self.donor_name}"

    @property
    def sizes(self) -> str:
        """What paired rows depend on beside their text, for names of files."""
        inside = "" if self.inside == LEFT_OUT else f" {self.inside}"
        return f"{self.excerpts} {self.excerpt_chars} {self.steps}{inside}"

    def move(self, text: str, learned: str | None = None) -> Any:
        """A move of the donor's LoRA of the domain, or of another domain, paired on some text."""
        learned = learned or self.domain
        if (text, learned) not in self._moves:
            guidance = self.guidance if text == "written" else MoveConfig.guidance
            whole = self.is_whole and learned == self.domain
            tuned = str(self.tuned) if whole else self.donor_lora(learned)[1]
            move = self.work.move_tuned(
                self.donor_name, tuned, self.target_name,
                domain=self.domain, pair_on=TEXTS[text] or self.domain,
                config=MoveConfig(
                    excerpts=self.excerpts, excerpt_chars=self.excerpt_chars, changes=(LACKING,),
                    seed=self.seed, inside=self.inside, guidance=guidance,
                ),
                text_free=text == "written",
            )  # fmt: skip
            how = text if guidance == MoveConfig.guidance else f"{text} {guidance:g}"
            name = f"{self.donor_name} {self.target_name} {learned} {how} {self.sizes}"
            stages = Stages(self.folder / f"{self.domain}-{self.seed}")
            staged_move(stages, name, move)
            move.__dict__["linear"] = stages.get(f"linear {name}", lambda: move.linear)
            self._moves[text, learned] = move
            self.seconds[text, learned] = sum(stages.seconds.values())
        return self._moves[text, learned]

    def at_its_gain(self, update: LoraUpdate) -> tuple[LoraModel, float]:
        """A LoRA of the target with the factor that suits the calibration split."""
        known = {0.0: text_loss(self.target, None, self.held)}
        gain, _ = lora_gain(self.target, update, self.held, GAINS, known)
        return LoraModel("lora", self.target, still(update, gain)), gain
