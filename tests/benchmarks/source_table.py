"""The tables of `bench_sources`: nats per token gained on each source, and the goals missed."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.source_corpora import HELD_OUT, HOME, PLACES, SPLIT
from tests.benchmarks.source_rows import GOAL
from transplant.tables.shares import share_text

SHARE = 0.5  # of the gain in source that is wanted elsewhere


def mean_gain(gains: dict[str, Any]) -> float:
    """Of the named packages, none of which is trained on."""
    return sum(gains[name]["nats"] for name in HELD_OUT) / len(HELD_OUT)


def worse_than_raw(gains: dict[str, Any]) -> list[str]:
    """The named packages on which a module is worse than the backbone, beyond its interval."""
    return [name for name in HELD_OUT if gains[name]["interval"][1] < 0]


def shown(row: dict[str, Any], place: str) -> list[str]:
    """In source, packages that the split held out, the named ones: mean, share, worst, how many."""
    gains = row["gains"][place]
    worst = min(HELD_OUT, key=lambda name: gains[name]["nats"])
    return [
        f"{gains[HOME]['nats']:+.3f}", f"{gains[SPLIT]['nats']:+.3f}", f"{mean_gain(gains):+.3f}",
        f"{mean_gain(gains) / gains[HOME]['nats']:.0%}", f"{gains[worst]['nats']:+.3f} ({worst})",
        f"{len(worse_than_raw(gains))} of {len(HELD_OUT)}",
    ]  # fmt: skip


def show(found: dict[str, Any]) -> int:
    """Prints the tables; 1 where the goal is missed."""
    for place in PLACES:
        print(f"\nwindows of {place}: nats per token gained")
        print(
            "| run |", " | ".join((HOME, SPLIT, "named packages", "share", "worst", "worse")), "|"
        )
        for key, row in found["rows"].items():
            if place in row["gains"]:
                print("|", key, "|", " | ".join(shown(row, place)), "|")
    for name, report in found["moves"].items():
        print(f"\n{name}: {report['donor']} -> {report['target']}: nats per token gained")
        for source, judged in moved_sources(report).items():
            gains = ", ".join(f"{n} {g['nats']:+.3f}" for n, g in judged["gain"].items())
            print(f"| {source} | {gains} | {share_text(judged['recovered']['candidate'])} |")
    missed = [line for key, row in found["rows"].items() for line in faults(key, row)]
    print(*missed, sep="\n")
    return 1 if missed else 0


def moved_sources(report: dict[str, Any]) -> dict[str, Any]:
    """What a move is worth on each source."""
    return report["sources"]["out_of_source"]


def faults(key: str, row: dict[str, Any]) -> list[str]:
    """Which goals a run of the row GOAL misses."""
    if key.split("/")[1] != GOAL:
        return []
    gains = row["gains"].get("anywhere")
    if gains is None:
        return []
    found = [f"MISSED {key}: worse than raw on {name}" for name in worse_than_raw(gains)]
    share = mean_gain(gains) / gains[HOME]["nats"]
    return [*found, *([f"MISSED {key}: share {share:.2f}, not {SHARE}"] if share < SHARE else [])]
