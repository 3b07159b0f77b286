"""Second looks at a ranking, without labels: k-reciprocal re-ranking on a sparse graph, and query expansion.

Both let items vote on each other, so the score of one query depends on the other queries (re-ranking) and on the rest
of the gallery. They know no protocol: hit and skip rules are applied to what comes out, and an item that a rule skips
later votes like any other.
"""

import os
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import sparse

from unbraid.method import cosine
from unbraid.progress import track
from unbraid.ranking import CHUNK, in_threads
from unbraid.search import MEMORY, SHORTEST, Scorer, Similarity, scorer, search, slices
from unbraid.spaces import Embeddings, Spaces

FloatMatrix = NDArray[np.float32]
IntMatrix = NDArray[np.int32]
Integers = NDArray[np.int64]

# Single pairs scored together; more waste products, fewer waste calls.
PAIRS = 256
# How far an item may be more alike to another than to itself, as a share of both, and still count as rounding.
SLACK = np.float32(1e-3)
TWO = np.float32(2)
# Items whose reciprocal neighbours are widened at once, so that what is made on the way stays small.
ROWS = 4096


@dataclass(frozen=True)
class Reranked(Scorer):
    """Re-ranked scores of `queries` x `items`: minus the final distance, so within -1 .. 0, larger is more alike."""

    queries: int
    items: int

    def block(self, rows: slice) -> FloatMatrix:
        """The scores of some queries against the whole gallery, b G."""
        start, stop, _ = rows.indices(self.queries)
        out = torch.empty(max(0, stop - start), self.items)
        return np.asarray(self.write(slice(start, start + len(out)), slice(0, self.items), out))


@dataclass(frozen=True)
class Reranking:
    """k-reciprocal re-ranking as a way to score: waits for the two sides, because it needs both as a whole.

    k1: neighbours that vote. k2: neighbours whose votes are averaged. weight: share of the original distance, 0..1.
    similarity, memory: as in `rerank`, whose docstring has the formulas.
    Raises ValueError when a number is out of range.
    """

    k1: int = 20
    k2: int = 6
    weight: float = 0.3
    similarity: Similarity = cosine
    memory: int = MEMORY

    def __post_init__(self) -> None:
        if self.k1 < 1 or self.k2 < 1:
            raise ValueError(f"k1 and k2 are numbers of neighbours, at least 1; got k1 = {self.k1}, k2 = {self.k2}")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight is the share of the original distance, 0 to 1; got {self.weight}")
        if self.memory <= 0:
            raise ValueError(f"memory is a number of bytes above 0; got {self.memory}")

    def scorer(self, query: Spaces, gallery: Spaces) -> Reranked:
        """Scores by rows. Builds the graph of all Q + G items first. Arguments and errors are those of `rerank`."""
        pairs = _Pairs(query, gallery, self.similarity)
        nearest, far = _neighbours(pairs, max(self.k1 + 1, self.k2), self.memory)
        votes = _votes(pairs, nearest, far, self.k1, self.memory)
        votes = _matrix(nearest[:, : self.k2], np.float32(1 / min(self.k2, len(nearest)))) @ votes
        return _final(pairs, far[: query.rows], votes, np.float32(self.weight))


def rerank(
    query: Embeddings,
    gallery: Embeddings,
    *,
    k1: int = 20,
    k2: int = 6,
    weight: float = 0.3,
    similarity: Similarity = cosine,
    memory: int = MEMORY,
) -> Reranked:
    """Scores of all queries re-ranked by k-reciprocal encoding; read them block by block, as often as you like.

    The steps, over all N = Q + G items i, j:
    1. d(i, j) = s(i, i) + s(j, j) - 2 s(i, j): the squared Euclidean distance where the similarity s is an inner
       product, so 2 - 2 cos by default. Divided by the largest d(i, n) over all n, it is D(i, j); 0 where all d are 0.
    2. N(i, k): the k + 1 nearest of all items, i itself among them and first; ties by index, queries before gallery.
       R(i, k) = {j in N(i, k): i in N(j, k)}.
    3. R*(i) = R(i, k1) and every R(j, k1/2), j in R(i, k1), of which more than 2/3 lies in R(i, k1). k1/2 is rounded,
       halves to even.
    4. V(i, j) = exp(-D(i, j)) for j in R*(i), else 0; each row divided by its sum.
    5. V(i) becomes the mean of V over the k2 nearest of i, itself included.
    6. Jaccard distance J(i, j) = 1 - m / (2 - m), with m = sum_n min(V(i, n), V(j, n)): rows sum to 1, so that
       sum max = 2 - sum min. Final distance (1 - weight) J + weight D; the score is its negative.

    Where the paper and implementations differ, "code" being the Python version in the authors' repository:
    - The paper asks for a share of at least 2/3, the code for more than 2/3. Here: more.
    - The paper does not divide V by its sum and says nothing of dividing d; the code does both, as here.
    - The paper takes neighbours in the gallery, the code in queries and gallery together, as here. The code finds an
      item among its own neighbours wherever the sort puts it among duplicates; here it is always first.
    - The code squares the distances it is given, so that squared ones become fourth powers. Here d is squared once.

    similarity: any function (Spaces of b items, Spaces of g items) -> b g, larger is more alike, which finds nothing
        more like an item than the item itself; parts as it sees them. Each pair is scored once, the earlier item as
        the query, so a similarity that is not symmetric is made so.
    memory: bytes for blocks of scores, beside the embeddings and the graph; the graph takes some kilobytes per item.

    Raises ValueError when a side is empty, a number is out of range, spaces differ in width, scores are not finite or
    the similarity finds other items clearly more alike than the item itself.
    Source: Zhong et al., "Re-ranking Person Re-identification with k-reciprocal Encoding", CVPR 2017,
    section and equation numbers unknown; k1 = 20, k2 = 6, weight (lambda) = 0.3. Self-similarities in step 1: not in
    the paper; chosen because they give the squared distance for an inner product and one for other similarities too.

    Example:
        scores = rerank(query, gallery)
        scores.block(slice(0, 16))
    """
    way = Reranking(k1=k1, k2=k2, weight=weight, similarity=similarity, memory=memory)
    return way.scorer(query.spaces, gallery.spaces)


def expand(
    query: Embeddings,
    gallery: Embeddings,
    *,
    k: int = 5,
    alpha: float = 0.0,
    similarity: Similarity = cosine,
    memory: int = MEMORY,
) -> Embeddings:
    """Queries replaced by a mean of themselves and their k most alike gallery items.

    f(q) <- f(q) + sum over the k items g of max(s(q, g), 0) ** alpha f(g), with every vector, part by part, of length
    1 before and after. Every space that both sides have is averaged; others of the query stay as they are.
    alpha: 0 is average query expansion, where each item counts as much as the query (even where s <= 0).
    similarity: for the weights and for finding the k items; the item with the query's own key is left out.
    memory: as in `search`. Vectors of length 1 are meant to be compared by `cosine`; other rules may need lengths.

    Raises ValueError for k < 1, alpha < 0 or not finite, and as `search`.
    Source: average: Chum et al., "Total Recall", ICCV 2007. alpha: Radenovic et al., "Fine-tuning CNN Image Retrieval
    with No Human Annotation", TPAMI 2019, section number unknown. Some codes expand the gallery too; here the
    queries only.

    Example:
        evaluate(expand(query, gallery, k=5, alpha=3), gallery, protocol)
    """
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"alpha is the power of the similarity in the weights, at least 0 and finite; got {alpha}")
    hits = search(query, gallery, k=k, similarity=similarity, memory=memory)
    weights = np.where(hits.rows >= 0, np.maximum(hits.scores, 0) ** alpha, 0)
    named = dict(query.spaces)
    for name in sorted(set(query.spaces) & set(gallery.spaces)):
        asked, offered = query.spaces[name].detach(), gallery.spaces[name].detach()
        mixed = torch.empty_like(asked)
        # a vector, its normalised copy and the weighted one for each of k items
        for part in slices(len(asked), max(1, memory // (12 * k * asked[0].numel()))):
            rows = torch.from_numpy(np.maximum(hits.rows[part], 0)).to(offered.device)
            items = F.normalize(offered[rows].float(), dim=-1, eps=SHORTEST)
            share = torch.from_numpy(weights[part].astype(np.float32)).to(items.device)
            votes = (items * share.reshape(*share.shape, *[1] * (asked.ndim - 1))).sum(dim=1).to(asked.device)
            own = F.normalize(asked[part].float(), dim=-1, eps=SHORTEST)
            mixed[part] = F.normalize(own + votes, dim=-1, eps=SHORTEST).to(mixed.dtype)
        named[name] = mixed
    said = f"k = {k}, alpha = {alpha:g}, over {len(gallery)} gallery items"
    return Embeddings(Spaces(named), query.table, {**query.origin, "query expansion": said})


class _Pairs:
    """Distances d of pairs among all items: rows 0 .. Q of the queries, then those of the gallery."""

    def __init__(self, query: Spaces, gallery: Spaces, similarity: Similarity) -> None:
        self.sides, self.similarity = (query, gallery), similarity
        self.offsets = (0, query.rows, query.rows + gallery.rows)
        # the mixed one first: it is the one whose errors name query and gallery
        self.mixed = scorer(query, gallery, similarity)
        self.scorers = {(0, 1): self.mixed, **{(n, n): scorer(s, s, similarity) for n, s in enumerate(self.sides)}}
        own = []
        for n, side in enumerate(self.sides):
            for part in slices(side.rows, 32):
                out = torch.empty(part.stop - part.start, part.stop - part.start)
                own.append(self.scorers[n, n].write(part, part, out).diagonal().clone())
        self.own: FloatMatrix = torch.cat(own).numpy()  # s(i, i)

    def scores(self, side: int, rows: slice, out: torch.Tensor, memory: int) -> None:
        """Fill b M with the scores of some rows of a side against those rows and all after them, of both sides."""
        filled = 0
        for other in range(side, 2):
            begin = rows.start if other == side else 0
            wide = self.scorers[side, other]
            for part in slices(self.sides[other].rows - begin, wide.step(rows.stop - rows.start, memory)):
                columns = slice(begin + part.start, begin + part.stop)
                wide.write(rows, columns, out[:, filled + part.start : filled + part.stop])
            filled += self.sides[other].rows - begin

    def distances(self, first: Integers, second: Integers, memory: int) -> FloatMatrix:
        """d of single pairs, P. first, second: P item numbers."""
        low, high = np.minimum(first, second), np.maximum(first, second)
        found = np.empty(len(low), np.float32)
        sides = [(low >= self.offsets[1]).astype(int), (high >= self.offsets[1]).astype(int)]
        for a, b in self.scorers:
            chosen = np.flatnonzero((sides[0] == a) & (sides[1] == b))
            chosen = chosen[np.argsort(low[chosen], kind="stable")]
            size = 8 * sum(value[0].numel() for value in self.sides[b].values())
            for part in slices(len(chosen), int(np.clip(memory // (2 * size), 1, PAIRS))):
                pairs = chosen[part]
                rows, row = np.unique(low[pairs] - self.offsets[a], return_inverse=True)
                columns, column = np.unique(high[pairs] - self.offsets[b], return_inverse=True)
                few, many = self.sides[a].take(torch.from_numpy(rows)), self.sides[b].take(torch.from_numpy(columns))
                with torch.no_grad():
                    block = self.similarity(few, many)
                found[pairs] = block.float().cpu().numpy()[row, column]
        return np.asarray(np.maximum(self.own[low] + self.own[high] - 2 * found, 0), np.float32)


def _neighbours(pairs: _Pairs, width: int, memory: int) -> tuple[IntMatrix, FloatMatrix]:
    """N min(width, N) items nearest to each, itself first; N the largest d to any item."""
    total = pairs.offsets[-1]
    width = min(width, total)
    nearest = np.full((total, width), -1, np.int32)
    distances = np.full((total, width), np.inf, np.float32)
    nearest[:, 0] = np.arange(total)
    distances[:, 0] = -np.inf  # nothing comes before the item itself
    worst = distances[:, -1].copy()
    far = np.zeros(total, np.float32)
    share = -(-memory // 2) if any(one.row_bytes for one in pairs.scorers.values()) else memory
    rows = max(1, min(share // (4 * total), max(side.rows for side in pairs.sides)))
    buffer = torch.empty(rows * total)
    blocks = [(n, part) for n, one in enumerate(pairs.sides) for part in slices(one.rows, rows)]
    for side, part in track(blocks, "rerank"):
        start, high = pairs.offsets[side] + part.start, part.stop - part.start
        scores = buffer[: high * (total - start)].view(high, total - start)
        pairs.scores(side, part, scores, share)
        block, state = scores.numpy(), (nearest[start:], distances[start:], worst[start:], far[start:])
        if _show(block, pairs.own[start:], *state, start):
            _explain(block, pairs.own[start:], start)
    return nearest, far


def _explain(block: FloatMatrix, own: FloatMatrix, start: int) -> None:
    """Raise ValueError for the first pair whose score cannot become a distance; the others are distances by now."""
    for row in range(len(block)):
        values = block[row, row + 1 :]
        bad = np.flatnonzero(~(values >= -SLACK * (abs(own[row]) + abs(own[row + 1 :]))) | ~np.isfinite(values))
        if len(bad):
            fault = "is not finite" if not np.isfinite(values[bad[0]]) else "exceeds that of each with itself"
            raise ValueError(
                f"the similarity of items {start + row} and {start + row + 1 + bad[0]} (queries first, then gallery) "
                f"{fault}; re-ranking needs finite scores, highest for an item with itself, as cosine gives"
            )


def _votes(pairs: _Pairs, nearest: IntMatrix, far: FloatMatrix, k1: int, memory: int) -> sparse.csr_array:
    """V after step 4, N N."""
    total = len(nearest)
    whole, half = (_reciprocal(nearest[:, : k + 1]) for k in (k1, round(k1 / 2)))
    sizes, turned = half.sum(axis=1), half.T.tocsr()
    parts = []
    for part in slices(total, ROWS):
        some = whole[part]
        chosen = some.multiply(some @ turned).tocsr()  # |R(i, k1) and R(j, k1/2)| for each j of R(i, k1)
        chosen.data = (3 * chosen.data > 2 * sizes[chosen.indices]).astype(np.int32)
        chosen.eliminate_zeros()
        parts.append((some + chosen @ half).tocsr())
    votes = sparse.vstack(parts, format="csr")
    owner, members = np.repeat(np.arange(total), np.diff(votes.indptr)), votes.indices
    weights = np.exp(-pairs.distances(owner, members, memory) / np.where(far > 0, far, 1)[owner])
    sums = np.bincount(owner, weights=weights, minlength=total)
    return sparse.csr_array(((weights / sums[owner]).astype(np.float32), members, votes.indptr), shape=(total, total))


def _reciprocal(nearest: IntMatrix) -> sparse.csr_array:
    """R as a matrix of 0 and 1, N N. nearest: N k + 1."""
    found = _matrix(nearest, np.int32(1))
    return found.multiply(found.T).tocsr()


def _matrix(nearest: IntMatrix, value: np.number[Any]) -> sparse.csr_array:
    """N N, `value` at (i, j) where j is among the nearest of i."""
    total, count = nearest.shape
    ends = np.arange(0, total * count + 1, count)
    return sparse.csr_array((np.full(total * count, value), nearest.ravel(), ends), shape=(total, total))


def _final(pairs: _Pairs, far: FloatMatrix, votes: sparse.csr_array, weight: np.float32) -> Reranked:
    """Step 6, done when asked for. far: Q."""
    queries, total = pairs.offsets[1:]
    voters, voted = _arrays(votes[:queries].tocsr()), _arrays(votes[queries:].tocsc())

    def write(rows: slice, columns: slice, out: torch.Tensor) -> torch.Tensor:
        pairs.mixed.write(rows, columns, out)
        own = pairs.own[:queries][rows], pairs.own[queries:][columns]
        arrays = out.numpy(), own, far[rows], weight, (rows.start, columns.start), voters, voted
        in_threads(lambda part: int(_mix(*arrays, part.start, part.stop)), len(out))
        return out

    # beside what the similarity makes: a line of sums per thread
    return Reranked(write, pairs.mixed.row_bytes + 8 * (os.cpu_count() or 1), queries, total - queries)


def _arrays(matrix: Any) -> tuple[NDArray[np.int64], IntMatrix, FloatMatrix]:
    matrix.sort_indices()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def _show_python(block: Any, own: Any, nearest: Any, distances: Any, worst: Any, far: Any, start: int) -> int:
    """Turn scores into distances and show each pair to the lists of both items; only rows before columns count.

    block: b M, scores of items 0 .. b against items 0 .. M, where 0 is item `start` of all, as in the other arrays.
    Every list sees its candidates in the order of their index. Returns how many scores are not finite or too high.
    """
    faults, last = 0, nearest.shape[1] - 1
    for row in range(len(block)):
        limit, top = worst[row], far[row]
        for left in range(row + 1, block.shape[1], CHUNK):
            values, others = block[row, left : left + CHUNK], own[left : left + CHUNK]
            limits, tops = worst[left : left + CHUNK], far[left : left + CHUNK]
            good, closer, farther = np.int32(0), np.int32(0), np.int32(0)
            for j in range(len(values)):  # int32 by force, or it does not become vector instructions
                value = own[row] + others[j] - TWO * values[j]
                fair = (value - value == 0) & (value >= -SLACK * (abs(own[row]) + abs(others[j])))
                value = np.float32(0) if fair & (value < 0) else value
                values[j] = value
                tops[j] = value if value > tops[j] else tops[j]
                good = np.int32(good + np.int32(fair))
                closer = np.int32(closer + np.int32((value < limits[j]) | (value < limit)))
                farther = np.int32(farther + np.int32(value > top))
            faults += len(values) - int(good)
            if farther > 0:
                top = max(top, values.max())
            if closer == 0:
                continue
            for j in range(len(values)):
                if values[j] < limits[j]:
                    _insert(nearest[left + j], distances[left + j], values[j], start + row)
                    limits[j] = distances[left + j, last]
                if values[j] < limit:
                    _insert(nearest[row], distances[row], values[j], start + left + j)
                    limit = distances[row, last]
        worst[row], far[row] = limit, top
    return faults


def _insert_python(nearest: Any, distances: Any, value: Any, item: int) -> None:
    """Insert into one sorted list, behind equal distances; the last one drops out."""
    place = len(distances) - 1
    while place > 0 and distances[place - 1] > value:
        nearest[place], distances[place] = nearest[place - 1], distances[place - 1]
        place -= 1
    nearest[place], distances[place] = item, value


def _mix_python(
    block: Any, own: Any, far: Any, weight: Any, offsets: Any, voters: Any, voted: Any, begin: int, end: int
) -> int:
    """Turn scores of rows `begin` .. `end` of a block into minus the final distance.

    own: s(i, i) of the rows and of the columns. offsets: first query and gallery item of the block. voters, voted: V
    of the queries by rows and V of the gallery by columns, each as (starts, item numbers ascending, votes).
    """
    first_row, first_column = offsets
    starts, members, votes = voters
    item_starts, items, item_votes = voted
    width = block.shape[1]
    for row in range(begin, end):
        sums = np.zeros(width, np.float64)
        for place in range(starts[first_row + row], starts[first_row + row + 1]):
            vote, member = votes[place], members[place]
            left, right = item_starts[member], item_starts[member + 1]
            left += np.searchsorted(items[left:right], first_column)
            for entry in range(left, right):
                column = items[entry] - first_column
                if column >= width:
                    break
                sums[column] += min(vote, item_votes[entry])
        inverse = 1 / far[row] if far[row] > 0 else np.float32(0)
        for column in range(width):
            distance = max(own[0][row] + own[1][column] - TWO * block[row, column], np.float32(0)) * inverse
            jaccard = 1 - sums[column] / (2 - sums[column])
            block[row, column] = -((1 - weight) * jaccard + weight * distance)
    return 0


_insert = numba.njit(nogil=True, cache=True)(_insert_python)
_show = numba.njit(nogil=True, cache=True)(_show_python)
_mix = numba.njit(nogil=True, cache=True)(_mix_python)
