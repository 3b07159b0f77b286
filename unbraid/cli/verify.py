"""Error rates of comparing one with one."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def verify(
        embeddings: tyro.conf.Positional[Path],
        protocol: str = "camera-change@1",
        fmr: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4),
        space: str = "identity",
        run: Path | None = None,
        seed: int = 0,
        picture: Path | None = None,
        json: bool = False,
    ) -> None:
        """How often two tracklets are wrongly taken for one person (FMR) or for two (FNMR), with intervals.

        Every query is compared with every gallery item that the protocol does not skip. A pair is accepted when its
        score is at least a threshold; for each FMR asked for, the smallest threshold that keeps to it is found, and
        the FNMR there. FMR is also called FAR, and 1 - FNMR is TAR. A rate that the pairs cannot support is refused:
        0.0001 needs 100000 impostor pairs, of 10000 pairs of people.

        Args:
            embeddings: Folder with query/ and gallery/, made by `unbraid extract`.
            protocol: Name of a protocol, such as camera-change@1, clothes-change@1 or plain@1; a wrong name lists those
                most like it, `unbraid data list` those of every benchmark.
            fmr: False match rates, between 0 and 1; 1e-3 is 0.1 %.
            space: The space to compare, by its cosine.
            run: Compare by the method of this run folder instead, such as by identity and motion in shares that it
                decides.
            seed: Of the resampling of people that makes the intervals.
            picture: Write the DET curve to this PNG file.
            json: Print the result as JSON.
        """
        from unbraid.cli.sides import check_picture, load, way, write_picture
        from unbraid.verify import verify as verb

        check_picture(picture)
        if not fmr:
            raise ValueError("--fmr has no value; name false match rates between 0 and 1, such as --fmr 1e-2 1e-3")
        query, gallery, rules = load(embeddings, protocol)
        similarity = way(run, space, query, gallery)
        result = verb(query, gallery, rules, similarity=similarity, space=space, fmrs=fmr, seed=seed)
        if picture is not None:
            from unbraid.report.pictures import det_picture

            write_picture(det_picture({f"{result.space} space": result}), picture)
        show(result.as_dict(), str(result), json)

    parse(verify, "verify", arguments)
