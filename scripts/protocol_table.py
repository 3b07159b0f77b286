"""The table of all protocols in docs/evaluation.md, made from the protocols themselves.

python scripts/protocol_table.py        writes it into the page, between its two marks
"""

import re
from pathlib import Path

from unbraid.data.protocols import catalogue
from unbraid.protocol import Protocol

PAGE = Path(__file__).parents[1] / "docs" / "evaluation.md"
BEGIN, END = "<!-- protocols: made by scripts/protocol_table.py -->", "<!-- end of protocols -->"
# sensors and conditions of the two gait families, which differ in nothing but whom they ask
FAMILY = re.compile(r"(gait|sustech1k)/(?:silhouette|depth)-in-(?:silhouette|depth)/\w+@1")


def main() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}{END}{after}", encoding="utf-8")


def table() -> str:
    """One Markdown row per protocol, and one for each family."""
    rows: dict[str, list[Protocol]] = {}
    for protocol in catalogue().values():
        match = FAMILY.fullmatch(protocol.name)
        name = f"{match[1]}/SENSOR-in-SENSOR/CONDITION@1" if match else protocol.name
        rows.setdefault(name, []).append(protocol)
    lines = ["| id | hit | skipped | who takes part, and what is averaged | source |", "|---|---|---|---|---|"]
    for name, some in rows.items():
        one = some[0]
        label = f"`{name}`" + (f" ({len(some)})" if len(some) > 1 else "")
        cells = (label, _rule(one.hit), _rule(one.skip), _about(one, len(some)), one.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rule(rule: object) -> str:
    text = str(rule).replace("'", "").removeprefix("(").removesuffix(")") if str(rule)[0] == "(" else str(rule)
    return f"`{text.replace(chr(39), '')}`".replace("|", "\\|")


def _about(protocol: Protocol, number: int) -> str:
    parts = []
    for side, where in (("queries", protocol.query), ("gallery", protocol.gallery)):
        if where.labels:
            values = {
                label: "by name" if number > 1 and label in ("modality", "condition") else " or ".join(some)
                for label, some in where.labels.items()
            }
            parts.append(f"{side}: " + ", ".join(f"{label} {value}" for label, value in values.items()))
    parts += [f"cells of different {protocol.cells}"] if protocol.cells else []
    parts += [f"gallery of {protocol.shots}"] if protocol.shots else []
    parts += ["AP by trapezoid"] if protocol.ap == "trapezoid" else []
    return "; ".join(parts) or "all"


if __name__ == "__main__":
    main()
