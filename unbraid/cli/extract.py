"""Embeddings of tracklets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""
    import tyro

    def extract(
        run: tyro.conf.Positional[Path],
        root: str,
        out: Path,
        splits: tuple[Literal["train", "query", "gallery"], ...] = ("query", "gallery"),
        spaces: tuple[str, ...] = (),
        one_clip: bool = False,
        device: str | None = None,
        workers: int = 0,
        json: bool = False,
    ) -> None:
        """Embeddings of a data set's tracklets: out/query, out/gallery, ... for the splits it has.

        Args:
            run: Run folder made by `unbraid train`.
            root: Tracklet folder, or a built-in benchmark such as world:clothes/small/dev.
            out: Folder for the embeddings.
            splits: Splits to extract; empty ones are passed over.
            spaces: Only these of the method's spaces, such as identity motion, and identity in any case; saves time
                where a method can leave others out. Default: all. 'trunk' is what the network saw before anything was
                pulled apart, made only when named.
            one_clip: Use one clip per tracklet instead of all frames.
            device: 'cpu', 'cuda', ...; a GPU when there is one.
            workers: Processes that read data.
            json: Print the result as JSON.
        """
        from unbraid.cli.root import open_benchmark
        from unbraid.extract import extract_run

        written = extract_run(
            run,
            open_benchmark(root),
            out,
            splits=splits,
            every_frame=not one_clip,
            spaces=spaces,
            device=device,
            workers=workers,
        )
        rows = {split: len(embeddings) for split, embeddings in written.items()}
        show({"out": str(out), "rows": rows}, f"Embeddings: {out} {rows}", json)

    parse(extract, "extract", arguments)
