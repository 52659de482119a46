"""Ids of models on a hub: whether a name can be one, and whether the hub answers at all.

An id is `owner/model`. A few models of the first years are known without their owner as well, and
the hub redirects those; of every other bare word it only says that there is no such model.
"""

from __future__ import annotations

from pathlib import Path

from transplant.files.plain import expand

LEGACY = frozenset({
    "ctrl", "distilgpt2", "gpt2", "gpt2-large", "gpt2-medium", "gpt2-xl", "openai-gpt",
    "t5-11b", "t5-3b", "t5-base", "t5-large", "t5-small", "transfo-xl-wt103",
    "xlnet-base-cased", "xlnet-large-cased",
})  # fmt: skip
"""Models that write text and that the hub knows without their owner."""
PUBLIC = "https://huggingface.co"
NOT_CONNECTED = frozenset({"ConnectError", "ConnectTimeout", "ConnectionError"})
TIMEOUT_S = 5.0
"""How long the first answer of a hub is waited for, in seconds."""


def can_be_hub_id(name: str) -> bool:
    """Whether a hub may hold a model of that name, as far as the name tells.

    A bare word is an id where it is among `LEGACY`, where the cache of downloads holds it, or where
    `HF_ENDPOINT` names another hub, whose habits are not known.

    Args:
        name: what is no backbone of a registry and no folder.
    """
    from huggingface_hub import constants

    if "/" in name or name in LEGACY or constants.ENDPOINT.rstrip("/") != PUBLIC:
        return True
    return (Path(constants.HF_HUB_CACHE) / f"models--{name}").is_dir()


def is_hub_id(source: str) -> bool:
    """Whether a source is to be asked of a hub: no folder, no path, and what can be an id."""
    return (
        not expand(source).is_dir()
        and not source.startswith((".", "/", "~"))
        and can_be_hub_id(source)
    )


def is_out_of_reach() -> bool:
    """Whether no connection to the hub is to be had now.

    It is asked once, and any answer will do. The hub's own client tries for half a minute for each
    file before it takes the one in the cache; with `HF_HUB_OFFLINE` it asks nobody, nor is it
    asked here.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import get_session

    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S)
    except Exception as error:  # of httpx, httpx2 or requests, by the version of huggingface_hub
        return type(error).__name__ in NOT_CONNECTED
    return False
