"""The most alike."""

from collections.abc import Sequence
from pathlib import Path

from unbraid.cli.output import parse, show


def run(arguments: Sequence[str]) -> None:
    """Parse the options and do it."""

    def search(
        query: Path,
        gallery: Path,
        k: int = 10,
        space: str = "identity",
        run: Path | None = None,
        min_score: float | None = None,
        json: bool = False,
    ) -> None:
        """The gallery tracklets most alike to each query, exactly.

        Args:
            query: Embeddings of the queries (such as EMBEDDINGS/query).
            gallery: Embeddings to search.
            k: Hits per query.
            space: The space to compare, by its cosine, such as motion.
            run: Compare by the method of this run folder instead, such as by identity and motion in shares that it
                decides.
            min_score: Leave out hits that score less.
            json: Print the hits as JSON.
        """
        from unbraid.cli.sides import way
        from unbraid.search import search as verb
        from unbraid.spaces import Embeddings

        asked, offered = Embeddings.load(query), Embeddings.load(gallery)
        similarity = way(run, space, asked, offered)
        hits = verb(asked, offered, k=k, similarity=similarity, space=space, min_score=min_score).table()
        show(hits.astype(object).where(hits.notna(), None).to_dict("records"), hits.to_string(index=False), json)

    parse(search, "search", arguments)
