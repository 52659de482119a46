"""Setting of the studio's pages: where artifacts and runs are, and what can be computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from starlette.requests import Request

from transplant.studio.config import StudioConfig
from transplant.studio.desk import Desk, Task
from transplant.studio.runs import Runs

if TYPE_CHECKING:
    from transplant.library import Library


class Actions(Protocol):
    """What loads models: it is computed on request."""

    def generate(self, task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Texts of some systems on one backbone, side by side."""
        ...

    def advise(self, task: Task, asked: Mapping[str, Any]) -> dict[str, Any]:
        """A report of advice on two backbones."""
        ...


@dataclass(frozen=True, kw_only=True)
class Studio:
    """What the pages are made of."""

    library: Library
    """Where artifacts are."""
    config: StudioConfig
    """The bounds."""
    actions: Actions
    """What is computed on request."""
    desk: Desk
    """Where that is done."""
    runs: Runs
    """Reports in folders of the user's."""
    say: Callable[[str], str] = str
    """Text of the library as the user types things."""

    def typed(self, step: Mapping[str, Any]) -> str:
        """A step of advice as it is typed: the command that is with it, else made of its call."""
        if isinstance(step.get("command"), str):
            return step["command"]
        names = [repr(name) for name in step.get("names", ())]
        options = [f"{name}={value!r}" for name, value in step.get("options", {}).items()]
        return self.say(f"`{step.get('verb')}({', '.join([*names, *options])})`").strip("`")


def studio_of(request: Request) -> Studio:
    """The setting of the studio that a request came to."""
    return request.app.state.studio
