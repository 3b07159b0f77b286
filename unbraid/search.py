"""The most alike gallery items of each query: exact, block by block, without the full score matrix."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numba
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unbraid.method import Method, cosine
from unbraid.progress import track
from unbraid.ranking import CHUNK, in_threads
from unbraid.spaces import Embeddings, Spaces

Similarity = Callable[[Spaces, Spaces], Tensor]


@runtime_checkable
class Scoring(Protocol):
    """A way to score that must see both sides as a whole first, such as `rerank.Reranking`."""

    def scorer(self, query: Spaces, gallery: Spaces) -> "Scorer":
        """Scores by rows."""
        ...


@runtime_checkable
class Factored(Protocol):
    """A method whose similarity is the inner product of these vectors."""

    def query_vectors(self, spaces: Spaces) -> Tensor:
        """Q D."""
        ...

    def gallery_vectors(self, spaces: Spaces) -> Tensor:
        """G D."""
        ...


MEMORY = 64 * 2**20
# Queries scored at once: enough for the matrix product to run at full speed.
QUERIES = 256
# The length below which a vector counts as zero when it is normalised, as in `torch.nn.functional.normalize`.
SHORTEST = 1e-12


@dataclass(frozen=True)
class Scorer:
    """Writes scores of query rows against gallery rows into a float32 tensor of that shape.

    row_bytes: what it makes on the way, per gallery row.
    """

    write: Callable[[slice, slice, Tensor], Tensor]
    row_bytes: int

    def step(self, queries: int, memory: int) -> int:
        """How many gallery rows to score at once against `queries` within about `memory` bytes; at least 1.

        Raises ValueError when memory is not positive.
        """
        if memory <= 0:
            raise ValueError(f"memory is a number of bytes above 0; got {memory}")
        return max(1, memory // (4 * queries + self.row_bytes))


@dataclass(frozen=True, eq=False)
class Hits:
    """The k best gallery rows of each of Q queries, best first.

    scores: Q k float32; -inf where there are fewer than k hits. rows: Q k int64, gallery rows; -1 there.
    query, gallery: the label tables that were searched.
    """

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]
    query: pd.DataFrame
    gallery: pd.DataFrame

    def __len__(self) -> int:
        return len(self.rows)

    def table(self) -> pd.DataFrame:
        """One row per hit: query (key), rank from 1, key, score, then the labels of the gallery item.

        A gallery label that is itself called query, rank or score is renamed to 'gallery <name>'.
        """
        number, place = np.nonzero(self.rows >= 0)
        ours = {
            "query": self.query["key"].to_numpy()[number],
            "rank": place + 1,
            "key": self.gallery["key"].to_numpy()[self.rows[number, place]],
            "score": self.scores[number, place],
        }
        labels = self.gallery.drop(columns="key").iloc[self.rows[number, place]].reset_index(drop=True)
        labels = labels.rename(columns={name: f"gallery {name}" for name in ours})
        return pd.concat([pd.DataFrame(ours), labels], axis=1)


def search(
    query: Embeddings,
    gallery: Embeddings,
    *,
    k: int = 10,
    similarity: Similarity | Scoring = cosine,
    space: str = "identity",
    min_score: float | None = None,
    own: bool = False,
    memory: int = MEMORY,
) -> Hits:
    """The k gallery items most alike to each query; among equal scores the earlier gallery row comes first.

    similarity: any function (Spaces of b items, Spaces of g items) -> b g, larger is more alike.
    space: search this space; it is then the only one that `similarity` sees, under the name 'identity'.
    min_score: leave out hits that score less.
    own: False leaves out the gallery item that has the query's own key.
    memory: bytes of working memory, beside the embeddings and the result.

    Raises ValueError for k < 1, an empty gallery, spaces of different widths, and scores that are not finite; KeyError
    for a space that is missing.

    Example:
        hits = search(embeddings, embeddings, k=3)
        hits.table()
    """
    if k < 1:
        raise ValueError(f"k is the number of hits per query, at least 1; got {k}")
    scores_of = scorer(alone(query.spaces, space), alone(gallery.spaces, space), similarity)
    where = pd.Index(gallery.table["key"])
    self_rows = np.full(len(query), -1) if own else where.get_indexer(pd.Index(query.table["key"]))
    floor = np.float32(-np.inf if min_score is None else min_score)
    scores = np.full((len(query), k), -np.inf, np.float32)
    rows = np.full((len(query), k), -1, np.int64)
    batch = max(1, min(QUERIES, len(query)))
    blocks = slices(len(gallery), scores_of.step(batch, memory))
    buffer = torch.empty(batch, blocks[0].stop)
    for columns in track(blocks, "search"):
        for part in slices(len(query), batch):
            out = buffer[: part.stop - part.start, : columns.stop - columns.start]
            block = scores_of.write(part, columns, out).numpy()
            arrays = (block, self_rows[part], scores[part], rows[part])
            if in_threads(partial(_merge, arrays, columns.start, floor), len(block)):
                raise ValueError(
                    f"similarity of queries {part.start} to {part.stop - 1} and gallery items {columns.start} to "
                    f"{columns.stop - 1} is not finite everywhere; search needs finite scores"
                )
    return Hits(scores, rows, query.table, gallery.table)


def scorer(query: Spaces, gallery: Spaces, similarity: Similarity | Scoring) -> Scorer:
    """Scores by rows, float32: `similarity` on the rows asked for.

    For the plain cosine of one vector per item it multiplies by the lengths, computed once, instead of making
    normalised copies of the gallery again and again. For a `Factored` method's own similarity it multiplies vectors.
    Raises ValueError when the gallery is empty or a space has different widths in query and gallery.
    """
    if not (query.rows and gallery.rows):
        raise ValueError(f"there are {query.rows} queries and {gallery.rows} gallery items; both must be at least 1")
    for name in sorted(set(query) & set(gallery)):
        if query[name].shape[1:] != gallery[name].shape[1:]:
            raise ValueError(
                f"space {name!r} has shape {tuple(query[name].shape)} in the query but {tuple(gallery[name].shape)} in "
                f"the gallery; only the first axis may differ. Extract both with the same weights"
            )
    if isinstance(similarity, Scoring):
        return similarity.scorer(query, gallery)
    plain = similarity is cosine or getattr(similarity, "__func__", None) is Method.similarity
    if plain and query["identity"].ndim == 2:
        return _cosine_of_vectors(query["identity"].detach(), gallery["identity"].detach())
    owner = _owner(similarity)
    if isinstance(owner, Factored):
        return _product_of_vectors(owner, query, gallery)

    def write(rows: slice, columns: slice, out: Tensor) -> Tensor:
        with torch.no_grad():
            block = similarity(query.take(rows), gallery.take(columns))
        if block.shape != out.shape:
            raise ValueError(
                f"similarity returned shape {tuple(block.shape)}; expected (queries, gallery) = {tuple(out.shape)}"
            )
        return out.copy_(block)

    # two float32 copies of every space: as much as a similarity that normalises needs
    return Scorer(write, 8 * sum(value[0].numel() for value in gallery.values()))


def _cosine_of_vectors(query: Tensor, gallery: Tensor) -> Scorer:
    lengths = torch.cat([gallery[part].float().norm(dim=1) for part in slices(len(gallery), 4096)])
    inverse = lengths.clamp_min(SHORTEST).reciprocal()

    def write(rows: slice, columns: slice, out: Tensor) -> Tensor:
        unit = F.normalize(query[rows].float(), dim=1, eps=SHORTEST)
        if query.device == out.device:
            torch.mm(unit, gallery[columns].float().T, out=out)
            return out.mul_(inverse[columns])
        return out.copy_(torch.mm(unit, gallery[columns].float().T).mul_(inverse[columns]))

    return Scorer(write, 0 if gallery.dtype == torch.float32 else 4 * gallery.shape[1])


def _product_of_vectors(method: Factored, query: Spaces, gallery: Spaces) -> Scorer:
    """Inner products. The vectors of the last rows of each side are kept: nothing is computed twice where all rows of
    one side fit into the memory."""
    made: dict[str, tuple[slice, Tensor]] = {}

    def vectors(side: str, make: Callable[[Spaces], Tensor], spaces: Spaces, rows: slice) -> Tensor:
        if side not in made or made[side][0] != rows:
            made.pop(side, None)  # frees the old ones first
            with torch.no_grad():
                made[side] = rows, make(spaces.take(rows)).float()
        return made[side][1]

    def write(rows: slice, columns: slice, out: Tensor) -> Tensor:
        asked = vectors("query", method.query_vectors, query, rows)
        offered = vectors("gallery", method.gallery_vectors, gallery, columns)
        return out.copy_(torch.mm(asked, offered.T))

    width = method.gallery_vectors(gallery.take(slice(0, 1))).shape[1]
    # the vectors, and as much twice while they are made
    return Scorer(write, 12 * width)


def _owner(similarity: Similarity | Scoring) -> Method | None:
    """The method whose own similarity this is."""
    owner = getattr(similarity, "__self__", None)
    return owner if isinstance(owner, Method) and similarity == owner.similarity else None


def alone(spaces: Spaces, space: str) -> Spaces:
    """One space under the name that similarities read; all of them for 'identity'."""
    return spaces if space == "identity" else Spaces({"identity": spaces[space]})


def compared_spaces(similarity: Similarity | Scoring, space: str) -> str:
    """What results say was compared: a space, or those that a method's own similarity reads: 'identity + motion'."""
    owner = _owner(similarity)
    return space if owner is None or space != "identity" else " + ".join(owner.matched)


def slices(length: int, step: int) -> list[slice]:
    """Slices of at most `step` that cover 0 .. length."""
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _merge(arrays: tuple[Any, ...], offset: int, floor: np.float32, part: slice) -> int:
    return int(_insert(*(array[part] for array in arrays), offset, floor))


def _insert_python(block: Any, own: Any, scores: Any, rows: Any, offset: int, floor: Any) -> int:
    """Insert a block of scores into the sorted best lists; returns how many scores are not finite."""
    faults = 0
    k = scores.shape[1]
    for query in range(len(block)):
        line, best, where = block[query], scores[query], rows[query]
        for start in range(0, len(line), CHUNK):
            values = line[start : start + CHUNK]
            finite, higher = np.int32(0), np.int32(0)
            for j in range(len(values)):  # int32 by force, or it does not become vector instructions
                finite = np.int32(finite + np.int32(values[j] - values[j] == 0))
                higher = np.int32(higher + np.int32(values[j] > best[k - 1]))
            faults += len(values) - int(finite)
            if higher == 0:
                continue
            for j in range(len(values)):
                value, row = values[j], offset + start + j
                # Not above: an equal score of a later row stays behind.
                if not value > best[k - 1] or value < floor or row == own[query]:
                    continue
                place = k - 1
                while place > 0 and best[place - 1] < value:
                    best[place], where[place] = best[place - 1], where[place - 1]
                    place -= 1
                best[place], where[place] = value, row
    return faults


_insert = numba.njit(nogil=True, cache=True)(_insert_python)
