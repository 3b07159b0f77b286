"""The same embeddings under the rules of several projects, and why their numbers differ."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from unbraid.evaluate import blocks, evaluate, sides, zero_items
from unbraid.peers import clothes, gait, market
from unbraid.peers.distances import SIMILARITIES, simplest, spread_of_lengths
from unbraid.peers.habits import JUNK, Habits, Peer
from unbraid.peers.ranked import Order, ranked
from unbraid.peers.reasons import Facts, chain, explained, score
from unbraid.peers.swapped import RATES, swapped
from unbraid.peers.table import OURS, Comparison, Rate, Row
from unbraid.protocol import Protocol
from unbraid.ranking import Block
from unbraid.search import MEMORY
from unbraid.spaces import Embeddings, is_synthetic
from unbraid.verify import verify

PEERS: tuple[Peer, ...] = (*market.PEERS, *clothes.PEERS, *gait.PEERS)


def defaults() -> tuple[Protocol, ...]:
    """The protocols of ours that some peer has a rule for, each once."""
    return tuple({peer.ours.name: peer.ours for peer in PEERS}.values())


def compare_rules(
    query: Embeddings,
    gallery: Embeddings,
    *,
    protocols: Sequence[Protocol] | None = None,
    space: str = "identity",
    rates: bool = True,
    seed: int = 0,
    synthetic: bool | None = None,
    memory: int = MEMORY,
) -> Comparison:
    """The scores of the same embeddings under our protocols and under the rules of the projects that share them.

    A peer's row stands under the protocol of ours that hits and skips the same pairs; what is left are distance, ties,
    AP, who counts, and rounding, each explained by what changing it does to the numbers.
    protocols: None for all that some peer has a rule for. A rule whose labels are missing gets a row that says so.
    rates: also fast-reid's TPR@FPR beside the true TAR@FAR; two to four passes more over the scores.
    seed: of single-shot draws and of intervals. The other arguments are those of `evaluate`.

    Raises ValueError when no rule at all can be scored, saying why for each protocol, and as `evaluate`.

    Example:
        print(compare_rules(query, gallery))
    """
    for side in (query, gallery):
        side.spaces[space]  # a KeyError here names the spaces; below it would be taken for a missing label
    chosen = defaults() if protocols is None else tuple(protocols)
    if not chosen:
        raise ValueError(f"name at least one protocol to compare under; peers share {[p.name for p in defaults()]}")
    rows = [row for one in chosen for row in _group(query, gallery, one, space, seed, memory)]
    if all(row.problem for row in rows):
        why_not: dict[str, list[str]] = {}
        for row in rows:
            names = why_not.setdefault(row.problem, [])
            names += [row.protocol] * (row.protocol not in names)
        told = "; ".join(f"{problem} ({', '.join(names)})" for problem, names in why_not.items())
        raise ValueError(f"no rule can be scored on these embeddings: {told}")
    found: tuple[Rate, ...] = ()
    why = ""
    asked = next((one for one in chosen if market.FAST_REID.same_pairs(one)), None) if rates else None
    if asked is not None:
        why = next(row.problem for row in rows if row.protocol == asked.name)
        if not why:
            found, why = _rates(query, gallery, asked, space, seed, memory)
    return Comparison(
        rows=tuple(rows),
        headers={one.name: _header(one) for one in chosen},
        rates=found,
        rates_reason=why,
        space=space,
        queries=len(query),
        gallery=len(gallery),
        seed=seed,
        synthetic=is_synthetic(query.origin, gallery.origin) if synthetic is None else synthetic,
        zero_items=zero_items(query, gallery, space),
    )


def _header(protocol: Protocol) -> str:
    parts = [f"hit = {protocol.hit}", f"skip = {protocol.skip}", f"AP rule {protocol.ap!r}"]
    parts += [f"mean over cells of different {protocol.cells}"] if protocol.cells else []
    parts += [f"gallery of {protocol.shots}"] if protocol.shots else []
    choices = (("queries", protocol.query), ("gallery", protocol.gallery))
    return "; ".join(parts + [f"{side}: {chosen}" for side, chosen in choices if chosen.labels])


def _group(query: Embeddings, gallery: Embeddings, protocol: Protocol, space: str, seed: int, memory: int) -> list[Row]:
    """Our row and those of the peers that hit and skip the same pairs."""
    peers = [peer for peer in PEERS if peer.same_pairs(protocol)]
    try:
        ours = _ours(query, gallery, protocol, space, seed, memory)
    except (KeyError, ValueError) as error:
        problem = str(error.args[0])
        names = ((OURS, protocol.name), *((peer.name, peer.code) for peer in peers))
        return [Row(rule, code, protocol.name, problem=problem) for rule, code in names]
    query, gallery = sides(query, gallery, protocol)
    problems = {peer.name: _problem(peer, query.table, gallery.table) for peer in peers}
    goals = {
        peer.name: replace(peer.habits, distance=simplest(peer.habits.distance, query.spaces, space))
        for peer in peers
        if not problems[peer.name]
    }
    facts = _facts(query, gallery, protocol, list(goals.values()), space, seed, memory) if goals else None
    rows = [ours if peers else replace(ours, reasons=("no peer here has a rule for these pairs",))]
    for peer in peers:
        row = Row(peer.name, peer.code, protocol.name, queries=len(query), problem=problems[peer.name])
        if facts is not None and peer.name in goals:
            row = _scored(row, peer, facts, Habits(ap=protocol.ap), goals[peer.name], gallery.table)
        rows.append(row)
    return rows


def _ours(query: Embeddings, gallery: Embeddings, protocol: Protocol, space: str, seed: int, memory: int) -> Row:
    result = evaluate(query, gallery, protocol, space=space, seed=seed, memory=memory)
    counted = result.queries - result.without_mate
    return Row(
        OURS,
        protocol.name,
        protocol.name,
        rank_1=result.rank_1,
        rank_5=result.rank_5,
        rank_10=result.rank_10,
        mean_ap=result.mean_ap,
        mean_inp=result.mean_inp,
        counted=counted,
        in_map=counted,
        queries=result.queries,
        intervals={"rank-1": result.rank_1_interval, "mAP": result.mean_ap_interval},
    )


def _facts(
    query: Embeddings,
    gallery: Embeddings,
    protocol: Protocol,
    goals: Sequence[Habits],
    space: str,
    seed: int,
    memory: int,
) -> Facts:
    """Everything that scores and reasons of a group are made of."""
    ours = Habits(ap=protocol.ap)
    orders = {Order.of(ours)}
    for goal in goals:
        orders |= {Order.of(habits) for _, habits in chain(ours, goal)}
        orders |= {replace(Order.of(goal), ties=name) for name in ("mates first", "mates last")}
    drawing = next((goal for goal in goals if goal.draws), None)
    draws = (drawing.distance, drawing.draws) if drawing else None
    found, shots = ranked(query, gallery, protocol, orders, draws=draws, space=space, seed=seed, memory=memory)
    identity = gallery.table["identity"]
    by_view = protocol.cells or (gait.VIEW if any(goal.by_view for goal in goals) else "")
    return Facts(
        found=found,
        shots=shots,
        views=query.table[by_view].astype(str).to_numpy(dtype=np.str_) if by_view else None,
        junk=int((identity.astype(str) == JUNK).sum()),
        unknown=int(identity.isna().sum()),
        identities=int(identity.nunique()) + bool(identity.isna().any()),
        spread=spread_of_lengths(gallery.spaces, space),
        seed=seed,
    )


def _scored(row: Row, peer: Peer, facts: Facts, ours: Habits, goal: Habits, gallery: pd.DataFrame) -> Row:
    prints, reasons = peer.prints, explained(facts, ours, goal, peer.prints)
    if peer.ours.cells and gait.smallest_cell(gallery) < 5:
        prints = ("rank_1",)
        reasons += (f"rank-5 is not defined: a view has {gait.smallest_cell(gallery)} gallery items only",)
    found = score(facts, goal)
    return replace(
        row,
        rank_1=found.rank_1 if "rank_1" in prints else None,
        rank_5=found.rank_5 if "rank_5" in prints else None,
        rank_10=found.rank_10 if "rank_10" in prints else None,
        mean_ap=found.mean_ap if "mean_ap" in prints else None,
        mean_inp=found.mean_inp if "mean_inp" in prints else None,
        counted=found.counted,
        in_map=found.in_map,
        reasons=reasons,
    )


def _problem(peer: Peer, query: pd.DataFrame, gallery: pd.DataFrame) -> str:
    """Why a peer's function cannot be run on these labels; empty when it can."""
    for label in peer.labels:
        for side, table in (("query", query), ("gallery", gallery)):
            if label not in table.columns:
                return f"the {side} table has no label {label!r}, which this rule needs"
            unknown = int((table[label].isna() & table["identity"].notna()).sum())
            if unknown:
                return f"{unknown} {side} items of known identity have no {label!r}; this rule takes a number for each"
    return gait.gap(peer, query, gallery)


def _rates(
    query: Embeddings, gallery: Embeddings, protocol: Protocol, space: str, seed: int, memory: int
) -> tuple[tuple[Rate, ...], str]:
    """fast-reid's TPR@FPR beside ours, or why there is none."""
    query, gallery = sides(query, gallery, protocol)
    similarity = SIMILARITIES[market.FAST_REID.habits.distance]

    def again() -> Iterator[Block]:
        return blocks(query, gallery, protocol, similarity, space, memory)

    try:
        theirs = swapped(again)
        true = verify(
            query, gallery, protocol, similarity=similarity, space=space, fmrs=RATES, seed=seed, memory=memory
        )
    except ValueError as error:
        return (), str(error.args[0])
    found = []
    for one, point in zip(theirs, true.points, strict=True):
        tar = None if point.fnmr is None else 1 - point.fnmr
        between = None if point.interval is None else (1 - point.interval[1], 1 - point.interval[0])
        found.append(Rate(one.wanted, one.printed, one.fnmr, tar, between, point.reason, one.genuine, one.impostors))
    return tuple(found), ""
