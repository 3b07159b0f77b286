"""Which threshold to use."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def advise(
        embeddings: tyro.conf.Positional[Path],
        protocol: str = "camera-change@1",
        fmr: float = 1e-3,
        space: str = "identity",
        run: Path | None = None,
        score: tuple[float, ...] = (),
        seed: int = 0,
        json: bool = False,
    ) -> None:
        """A threshold that takes two people for one no more often than FMR, and what to expect of it.

        The threshold is set on one half of the people and checked on the other half, who had no part in it. It holds
        for pairs like these; give it to `unbraid search --min-score`, with the same --space or --run.

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocol: Name of a protocol, such as camera-change@1, clothes-change@1 or plain@1.
            fmr: Wanted false match rate, between 0 and 1; 1e-3 is 0.1 %.
            space: The space to compare, by its cosine.
            run: Compare by the method of this run folder instead, such as by identity and motion in shares that it
                decides.
            score: Scores to explain as the probability of one person, where such pairs are as common as others.
            seed: Of the halves, and of the resampling of people that makes the intervals.
            json: Print the result as JSON.
        """
        from unbraid.advise import advise as verb
        from unbraid.cli.sides import load, way

        query, gallery, rules = load(embeddings, protocol)
        similarity = way(run, space, query, gallery)
        result = verb(query, gallery, rules, fmr=fmr, similarity=similarity, space=space, seed=seed)
        told = {one: float(result.calibration.probability(one)) for one in score}
        lines = [f"score {one:g}: one person with probability {100 * p:.3g} %" for one, p in told.items()]
        facts = {**result.as_dict(), "probability": [{"score": one, "one_person": p} for one, p in told.items()]}
        show(facts, "\n".join([str(result), *lines]), json)

    parse(advise, "advise", arguments)
