"""What each space knows: how well every label can be read from it and found by it, and what ties the labels."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from unbraid.bias import Bias, bias
from unbraid.leaks import Leakage
from unbraid.probing.asking import conditions, default_labels, is_measure, own, own_items, question, several
from unbraid.probing.confounding import belongs, confounded
from unbraid.probing.dependence import dependence
from unbraid.probing.factors import factors
from unbraid.probing.fitting import KINDS, Kind
from unbraid.probing.nearest import Found, Neighbours, directions, never_itself
from unbraid.probing.probes import COLUMNS, probe
from unbraid.probing.verdicts import verdicts
from unbraid.progress import track
from unbraid.protocol import same
from unbraid.spaces import Embeddings, is_synthetic

__all__ = ["Bias", "Leakage", "bias", "leakage", "probed"]

# More items are not looked at: whole people are drawn. Probes learn little more from the next thousands.
ITEMS = 4000
PROBES = ("space", *COLUMNS)
RETRIEVAL = ("space", "label", "rank_1", "low", "high", "chance", "queries", "identities", "note")
# What chance means for labels whose values belong to one person each.
OWN = "; chance: any of that person's"
BIAS = ("label", "share", "low", "high", "chance", "queries", "identities", "note")


def leakage(
    embeddings: Embeddings,
    labels: Sequence[str] | None = None,
    *,
    kinds: Sequence[Kind] = KINDS,
    items: int = ITEMS,
    seed: int = 0,
) -> Leakage:
    """What every space of some embeddings knows of every label.

    labels: columns of the label table; None takes identity and all others with two or more values (`default_labels`).
    kinds: probes to fit. items: at most so many are looked at; where there are more, whole people are drawn.
    seed: of the drawing, the halves, the controls and the bootstrap.

    How a label is asked for depends on what it is:
    - identity: probes 'linear', 'mlp', 'knn' with every person on both sides of the split, of which the tested side
      shows them before other cameras and in other clothes, if people have several; and 'nearest', the share of items
      whose nearest other item, with the same conditions, is the same person.
    - labels that people share (camera, sex): probes trained on half of the people and tested on the others.
    - measures (metres; see `is_measure`): the same with R2.
    - labels whose values belong to one person each, who has several (clothes): probe 'nearest' only, among the items of
      the same person in other cameras; nobody else can teach a probe a person's own outfits.

    retrieval: the nearest other item of all (identity, clothes), or of other people (the rest), whatever the camera.
    bias: the first match by the identity space, in other clothes where people have several. Chance of a person's own
    outfits is that of any item of the person who is found: to find the right person is no leak of clothes.
    An adversary's accuracy is not used: it can be at 0 while everything leaks.
    Raises KeyError for a label that the table lacks, ValueError for no label, no items or no identities.

    Example:
        print(leakage(embeddings))
    """
    names = _checked(embeddings, labels)
    chosen = _drawn(embeddings, items, seed)
    table = chosen.table
    discrete = [name for name in names if not is_measure(table[name])]
    probes = _probed(chosen, names, kinds, seed)
    ties = _ties(table, discrete, seed)
    retrieved, searched = _retrieval(chosen, discrete, seed), _bias(chosen, discrete, seed)
    shared, reason = _dependence(chosen, seed)
    # labels that say less than identity, or more, cannot be told from it
    apart = [
        name for name in discrete if name == "identity" or not (own(table, name) or belongs(table, "identity", name))
    ]
    return Leakage(
        items=len(chosen),
        identities=int(table["identity"].nunique()),
        synthetic=bool(is_synthetic(embeddings.origin)),
        origin=embeddings.origin,
        probes=probes,
        retrieval=retrieved,
        bias=searched,
        confounded=ties,
        dependence=shared,
        factors=factors(chosen.spaces, table, apart, seed=seed),
        warnings=(*_warnings(embeddings, chosen, probes, ties), *reason),
        verdicts=tuple(verdicts(probes, retrieved, searched, ties)),
    )


def probed(
    embeddings: Embeddings,
    labels: Sequence[str],
    *,
    kinds: Sequence[Kind] = ("linear",),
    items: int = ITEMS,
    seed: int = 0,
) -> pd.DataFrame:
    """The probes of `leakage` alone: a row per space, label and probe, in the order of the labels.

    Arguments and errors are those of `leakage`.

    Example:
        probed(embeddings, ["identity", "camera"])
    """
    return _probed(_drawn(embeddings, items, seed), _checked(embeddings, labels), kinds, seed)


def _checked(embeddings: Embeddings, labels: Sequence[str] | None) -> list[str]:
    table = embeddings.table
    if labels is not None and not labels:
        raise ValueError("leakage needs at least one label, such as 'identity' or 'camera'; got none")
    missing = [name for name in ("identity", *(labels or ())) if name not in table.columns]
    if missing:
        raise KeyError(
            f"the label table has no {missing[0]!r}; it has {sorted(map(str, table.columns))}. "
            f"Choose among these or add the label to the data"
        )
    if not table["identity"].notna().any():
        raise ValueError(
            f"none of the {len(table)} items has a known identity, and probes must not meet people twice; label some"
        )
    return default_labels(table) if labels is None else list(dict.fromkeys(labels))


def _drawn(embeddings: Embeddings, items: int, seed: int) -> Embeddings:
    """All items, or those of people drawn by seed while they fit; an unknown person is one of its own."""
    if items < 1:
        raise ValueError(f"items is the largest number of items to look at, at least 1; got {items}")
    if len(embeddings) <= items:
        return Embeddings(embeddings.spaces, embeddings.table.reset_index(drop=True), embeddings.origin)
    people = embeddings.table["identity"].reset_index(drop=True)
    codes = pd.factorize(people.where(people.notna(), [f"\0{row}" for row in range(len(people))]))[0]
    order = np.random.default_rng([seed, 5]).permutation(codes.max() + 1)
    reached = np.cumsum(np.bincount(codes)[order])
    return embeddings.take(np.flatnonzero(np.isin(codes, order[: max(1, int((reached <= items).sum()))])).tolist())


def _ties(table: pd.DataFrame, labels: Sequence[str], seed: int) -> pd.DataFrame:
    """Ties of the labels with each other and with those that nobody asked for."""
    others = [name for name in default_labels(table) if not is_measure(table[name])]
    found = confounded(table, list(dict.fromkeys([*labels, *others])), seed=seed)
    return found[found["label"].isin(labels) | found["with"].isin(labels)].reset_index(drop=True)


def _probed(embeddings: Embeddings, labels: Sequence[str], kinds: Sequence[Kind], seed: int) -> pd.DataFrame:
    table = embeddings.table
    worn = [name for name in labels if own(table, name)]
    questions = [question(table, name, seed) for name in labels if name not in worn]
    searches = {"identity": conditions(table)} if "identity" in labels else {}
    searches |= {name: own_items(table, name) for name in worn}
    rows: list[dict[str, Any]] = []
    spaces = list(embeddings.spaces)
    for space in track(spaces, "leakage"):
        value = embeddings.spaces[space].detach().cpu().flatten(1).float().numpy()
        found: list[dict[Any, Any]] = probe(value, questions, kinds=kinds, seed=seed).to_dict("records")
        vectors = directions(embeddings.spaces[space])
        for name, (neighbours, words) in searches.items():
            seen = neighbours.found(name, neighbours.first(vectors), within=name in worn, seed=seed)
            found.append(_nearest(name, seen, words, len(table), int(table[name].nunique())))
        rows += [{**row, "space": space} for row in found]
    place = {name: number for number, name in enumerate(labels)}
    rows.sort(key=lambda row: (place[row["label"]], spaces.index(row["space"])))
    return pd.DataFrame(rows, columns=list(PROBES))


def _nearest(label: str, seen: Found, words: str, items: int, classes: int) -> dict[str, Any]:
    """The row of the probe 'nearest'."""
    facts = {"label": label, "probe": "nearest", "split": "tracklet", "metric": "rank-1", "score": seen.share}
    counts = {"classes": classes, "train": 0, "test": seen.queries, "identities": seen.identities}
    kept = {name: getattr(seen, name) for name in ("low", "high", "chance", "shuffled")}
    nan = dict.fromkeys(("bits", "accuracy", "commonest"), float("nan"))
    return {**facts, **kept, **nan, **counts, "left_out": items - seen.queries, "note": seen.note or words}


def _retrieval(embeddings: Embeddings, labels: Sequence[str], seed: int) -> pd.DataFrame:
    """Whether the nearest item has the query's value: of all others, or of other people for what people share."""
    table, rows = embeddings.table, []
    everyone = Neighbours(table, never_itself(table))
    strangers = Neighbours(table, never_itself(table) | same("identity"))
    for space in track(list(embeddings.spaces), "retrieval"):
        vectors = directions(embeddings.spaces[space])
        first = {neighbours: neighbours.first(vectors) for neighbours in (everyone, strangers)}
        for name in labels:
            worn = own(table, name)
            of_all = name == "identity" or worn
            neighbours = everyone if of_all else strangers
            seen = neighbours.found(name, first[neighbours], within=worn, seed=seed)
            words = f"of all other items{OWN if worn else ''}" if of_all else "of other people's items"
            rows.append(
                {"space": space, "label": name, "rank_1": seen.share, **asdict(seen), "note": seen.note or words}
            )
    return pd.DataFrame(rows, columns=list(RETRIEVAL))


def _bias(embeddings: Embeddings, labels: Sequence[str], seed: int) -> pd.DataFrame:
    """How often the first match by the identity space has the query's value, right or wrong."""
    table, rows = embeddings.table, []
    changing = several(table, "clothes")
    skip = never_itself(table)
    searches = {False: Neighbours(table, skip | (same("identity") & same("clothes")) if changing else skip)}
    if any(own(table, name) for name in labels):
        searches[True] = Neighbours(table, skip)
    vectors = directions(embeddings.spaces["identity"])
    first = {worn: neighbours.first(vectors) for worn, neighbours in searches.items()}
    for name in labels:
        if name == "identity" or belongs(table, "identity", name):
            continue
        worn = own(table, name)
        seen = searches[worn].found(name, first[worn], mated=False, within=worn, seed=seed)
        words = "the person's own outfit excluded" if changing and not worn else "every other item included"
        words += OWN if worn else ""
        rows.append({"label": name, **asdict(seen), "note": seen.note or words})
    return pd.DataFrame(rows, columns=list(BIAS))


def _dependence(embeddings: Embeddings, seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """What pairs of spaces share, and why there is nothing to say about them."""
    people = embeddings.table["identity"]
    if len(embeddings.spaces) < 2:
        return [], []
    try:
        return dependence(embeddings.spaces, groups=people.where(people.notna(), None).tolist(), seed=seed), []
    except ValueError as error:
        return [], [f"nothing is said about the dependence of spaces: {error}"]


def _warnings(whole: Embeddings, chosen: Embeddings, probes: pd.DataFrame, ties: pd.DataFrame) -> list[str]:
    """What to know before reading the numbers."""
    found = []
    if len(chosen) < len(whole):
        people = [side.table["identity"].nunique() for side in (chosen, whole)]
        found.append(
            f"{len(chosen)} of {len(whole)} items are looked at, of {people[0]} of {people[1]} people drawn by seed"
        )
    for name, space in chosen.spaces.items():
        zero = int((~space.flatten(1).any(dim=1)).sum())
        if zero:
            found.append(f"the {name} space is zero for {zero} of {len(chosen)} items, which says nothing about them")
    found += ties["note"].tolist()
    refused = probes[probes["score"].isna()].drop_duplicates(["label", "note"])
    found += [f"no claim about {row['label']}: {row['note']}" for row in refused.to_dict("records")]
    return found
