"""What is known of benchmarks and worlds, as plain facts and as text for a terminal."""

import difflib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 100
COLUMNS = (15, 11, 19)


def names() -> list[str]:
    """All benchmarks with a reader, and the kinds of worlds."""
    from unbraid.data.sets.about import available
    from unbraid.world.benchmarks import KINDS

    return [*available(), *(f"world:{kind}" for kind in KINDS)]


def facts_of(name: str) -> dict[str, Any]:
    """What is known about a benchmark or a world. Raises KeyError with the nearest name and all."""
    from dataclasses import asdict

    from unbraid.data.sets.about import about, available, protocols_of
    from unbraid.world.benchmarks import KINDS, PEOPLE, SEEDS, SIZES, named_world
    from unbraid.world.plan import protocols

    if name in available():
        return {**asdict(about(name)), "protocols": list(protocols_of(name)), "synthetic": False}
    kind = name.removeprefix("world:").partition("/")[0]
    if not name.startswith("world:") or kind not in KINDS:
        near = difflib.get_close_matches(name, names(), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise KeyError(f"no benchmark {name!r}{hint} There are {', '.join(names())}")
    config = named_world(name).config
    sizes = ", ".join(f"{size} ({train} people to train on, {test} to test)" for size, (train, test) in PEOPLE.items())
    return {
        "name": name,
        "title": f"synthetic people of the built-in world, {kind}",
        "modality": ",".join(config.modalities),
        "access": "built in",
        "licence": "synthetic, nobody's picture; body model CC0",
        "counts": {"train identities": config.train_identities, "test identities": config.test_identities},
        "notes": f"Names are {name.split('/')[0]}/SIZE/WORLD, SIZE one of {sizes} and WORLD one of {', '.join(SEEDS)}; "
        f"rendered on first use. {SIZES[0]} is for trying. Numbers made from it say nothing about real people.",
        "source": "unbraid world render --help",
        "protocols": protocols(config),
        "synthetic": True,
    }


def _access(facts: Mapping[str, Any]) -> str:
    return "WITHDRAWN" if facts["access"] == "withdrawn" else str(facts["access"])


def table(every: Sequence[Mapping[str, Any]]) -> str:
    """One block for each: name, access and modality, and beside them title, licence and protocols."""
    head = _row(("name", "access", "modality"), ["title; licence; protocols"])
    blocks = [
        _row(
            (facts["name"], _access(facts), facts["modality"].replace(",", ", ")),
            [facts["title"], facts["licence"], _few(facts["protocols"])],
        )
        for facts in every
    ]
    end = (
        "`unbraid data list NAME` says all about one. WITHDRAWN: its owners took it back; do not use copies of it. "
        "unclear: we could not find the terms, ask the owners. Nothing is downloaded by unbraid."
    )
    return "\n\n".join([f"{head}\n{'-' * WIDTH}", *blocks, textwrap.fill(end, WIDTH)])


def _row(cells: Sequence[str], texts: Sequence[str]) -> str:
    left = sum(COLUMNS)
    wrapped = [line for text in texts for line in textwrap.wrap(text, WIDTH - left, break_on_hyphens=False)]
    first = "".join(f"{cell:<{width}}" for cell, width in zip(cells, COLUMNS, strict=True))
    return "\n".join([f"{first}{wrapped[0]}", *(" " * left + line for line in wrapped[1:])])


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 4 else ""
    return ", ".join(names[: 3 if more else 4]) + more


def whole(facts: Mapping[str, Any]) -> str:
    """Everything known about one."""
    lines = [f"{facts['name']}: {facts['title']}"]
    rows = {
        "access": _access(facts)
        + (" by its owners; do not use copies of it" if facts["access"] == "withdrawn" else ""),
        "licence": facts["licence"],
        "modality": facts["modality"].replace(",", ", "),
        "a whole copy": ", ".join(f"{number} {what}" for what, number in facts["counts"].items()),
        "protocols": ", ".join(facts["protocols"]),
        "notes": facts["notes"],
        "source": facts["source"],
    }
    if not facts["synthetic"]:
        rows["read it with"] = f"--root {facts['name']}:FOLDER"
    for name, text in rows.items():
        lines += textwrap.wrap(
            text, WIDTH, initial_indent=f"  {name:<14}", subsequent_indent=" " * 16, break_on_hyphens=False
        )
    return "\n".join(lines)
