"""Error rates of looking for people who may not be enrolled."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def identify(
        embeddings: tyro.conf.Positional[Path],
        protocol: str = "camera-change@1",
        fpir: tuple[float, ...] = (1e-1, 1e-2),
        rank: int = 20,
        non_mated: Literal["without-mate", "mates-removed"] = "without-mate",
        space: str = "identity",
        run: Path | None = None,
        seed: int = 0,
        json: bool = False,
    ) -> None:
        """How often a search misses someone who is enrolled (FNIR) or names someone for a stranger (FPIR).

        A search shows the candidates that score at least a threshold. One for a person with a mate in the gallery
        fails unless a mate is among the first RANK and reaches the threshold; one for a stranger fails when anyone
        reaches it. For each FPIR asked for, the smallest threshold that keeps to it is found, and the FNIR there.
        A rate that the searches cannot support is refused: 0.01 needs 1000 searches for strangers.

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocol: Name of a protocol, such as camera-change@1, clothes-change@1 or plain@1; a wrong name lists those
                most like it, `unbraid data list` those of every benchmark.
            fpir: False positive identification rates, between 0 and 1.
            rank: How many candidates are looked at.
            non_mated: Searches for strangers: the queries without a mate, or every query once more with its mates
                taken out of the gallery, for sets in which everyone is enrolled.
            space: The space to compare, by its cosine.
            run: Compare by the method of this run folder instead, such as by identity and motion in shares that it
                decides.
            seed: Of the resampling of people that makes the intervals.
            json: Print the result as JSON.
        """
        from unbraid.cli.sides import load, way
        from unbraid.openset import identify as verb

        if not fpir:
            raise ValueError(
                "--fpir has no value; name false positive identification rates between 0 and 1, such as --fpir 0.01"
            )
        query, gallery, rules = load(embeddings, protocol)
        similarity = way(run, space, query, gallery)
        kind: Literal["without mate", "mates removed"] = (
            "without mate" if non_mated == "without-mate" else "mates removed"
        )
        result = verb(
            query,
            gallery,
            rules,
            similarity=similarity,
            space=space,
            rank=rank,
            fpirs=fpir,
            non_mated=kind,
            seed=seed,
        )
        lacking = non_mated == "without-mate" and any(point.reason for point in result.points)
        hint = "\nWhere nearly everyone is enrolled, try --non-mated mates-removed" if lacking else ""
        show(result.as_dict(), f"{result}{hint}", json)

    parse(identify, "identify", arguments)
