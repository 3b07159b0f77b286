"""The same embeddings under the rules of other projects."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def compare(
        embeddings: tyro.conf.Positional[Path],
        protocols: tuple[str, ...] = (),
        space: str = "identity",
        rates: bool = True,
        seed: int = 0,
        json: bool = False,
    ) -> None:
        """Score the same embeddings by our rules and by those of other projects, and say why the numbers differ.

        The others: fast-reid, torchreid, the layumi baseline, TransReID, Simple-CCReID, OpenGait.

        Each of their rules stands under the protocol of ours that compares the same pairs. What is left is explained
        step by step, with what each step does to rank-1 and mAP: distance, junk, ties, rule for AP, single-shot draws,
        who leaves the mean, rounding. fast-reid's "TPR@FPR" has its axes swapped; it stands beside the true TAR@FAR.

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocols: Names of protocols, such as camera-change@1 clothes-change@1 whole-gallery@1. Default: all that
                another project has a rule for.
            space: The space to compare.
            rates: Also fast-reid's TPR@FPR beside the true TAR@FAR, under the first protocol that fast-reid has a rule
                for; takes as long again. --no-rates leaves them out.
            seed: Of single-shot draws and of the resampling that makes the intervals.
            json: Print the result as JSON.
        """
        from unbraid.cli.sides import load
        from unbraid.data.protocols import named
        from unbraid.peers import compare_rules

        rules = [named(name) for name in protocols]
        query, gallery, _ = load(embeddings, "plain@1")
        result = compare_rules(query, gallery, protocols=rules or None, space=space, rates=rates, seed=seed)
        show(result.as_dict(), str(result), json)

    parse(compare, "compare", arguments)
