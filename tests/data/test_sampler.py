"""Batches of P identities x K clips: their make-up, how much of an epoch is used, and their randomness."""

from collections import Counter

import numpy as np
import pytest

from unbraid.data.sampler import identity_batches


def batches_of(
    identities: list[int], *, per_batch: int = 4, clips: int = 3, epoch: str = "tracklets", seed: int = 0
) -> list[list[int]]:
    return identity_batches(
        identities,
        per_batch=per_batch,
        clips=clips,
        epoch=epoch,  # type: ignore[arg-type]
        generator=np.random.default_rng(seed),
    )


def like_mars() -> list[int]:
    """625 identities and 8298 tracklets, skewed like MARS: most have 4 to 20 tracklets, 45 fewer than 4, one 271."""
    generator = np.random.default_rng(0)
    sizes = np.clip(generator.lognormal(2.2, 0.85, 579).round().astype(int), 4, 200)
    sizes = np.concatenate([sizes, [271], np.repeat([1, 2, 3], 15)])
    while sizes.sum() != 8298:
        i = generator.integers(0, 579)
        sizes[i] = max(sizes[i] + np.sign(8298 - sizes.sum()), 4)
    return np.repeat(np.arange(625), sizes).tolist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("epoch", ["tracklets", "identities"])
def test_make_up_of_batches(epoch: str) -> None:
    identities = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 6, 7, 8, 30]).tolist()
    batches = batches_of(identities, epoch=epoch)
    assert batches
    for batch in batches:
        assert len(batch) == 12
        groups = [[identities[n] for n in batch[i : i + 3]] for i in range(0, 12, 3)]
        assert all(len(set(group)) == 1 for group in groups)
        assert len({group[0] for group in groups}) == 4


def test_tracklets_come_once_except_to_fill_up() -> None:
    identities = np.repeat(np.arange(8), [1, 2, 3, 4, 6, 6, 7, 9]).tolist()
    shown = Counter(n for batch in batches_of(identities, per_batch=2) for n in batch)
    sizes = Counter(identities)
    for number, times in shown.items():
        assert times <= (1 if sizes[identities[number]] >= 3 else 3)
    # an identity with two tracklets and K = 3 shows both, one of them twice
    assert sorted(shown[n] for n in (1, 2)) in ([1, 2], [0, 0])


def test_an_identity_gives_its_whole_groups() -> None:
    identities = np.repeat(np.arange(6), 7).tolist()
    batches = batches_of(identities, per_batch=2, clips=3)
    shown = Counter(identities[n] for batch in batches for n in batch)
    assert all(times <= 6 for times in shown.values())  # 7 // 3 groups of 3
    assert 10 <= 2 * len(batches) <= 12


def test_every_identity_once() -> None:
    identities = np.repeat(np.arange(13), np.arange(1, 14)).tolist()
    batches = batches_of(identities, epoch="identities")
    assert len(batches) == 13 // 4
    shown = [identities[batch[i]] for batch in batches for i in range(0, 12, 3)]
    assert len(set(shown)) == len(shown) == 12


def test_an_epoch_of_mars_is_used_up() -> None:
    identities = like_mars()
    assert len(identities) == 8298
    sizes = Counter(identities)
    groups = sum(max(size // 4, 1) for size in sizes.values())
    for seed in range(3):
        batches = batches_of(identities, per_batch=8, clips=4, seed=seed)
        # without a rule for the rest, the batches that fit would be groups // 8
        assert groups // 8 - len(batches) <= 1
        assert all(len({identities[n] for n in batch}) == 8 for batch in batches)


def test_drawing_in_proportion_keeps_one_large_identity() -> None:
    # one identity with as many groups as there are batches: equal odds would leave most of it over
    identities = [0] * 40 + [i for i in range(1, 21) for _ in range(8)]
    batches = batches_of(identities, per_batch=4, clips=4)
    used = sum(identities[n] == 0 for batch in batches for n in batch) / 4
    assert len(batches) >= 11  # 50 groups, 12 whole batches
    assert used >= 8  # of 10


def test_reproducible_from_the_seed() -> None:
    identities = np.repeat(np.arange(9), 5).tolist()
    assert batches_of(identities, seed=1) == batches_of(identities, seed=1)
    assert batches_of(identities, seed=1) != batches_of(identities, seed=2)


def test_order_of_tracklets_is_shuffled() -> None:
    identities = np.repeat(np.arange(4), 6).tolist()
    firsts = {tuple(sorted(batches_of(identities, seed=seed)[0][:3])) for seed in range(30)}
    assert len(firsts) > 15


def test_too_few_identities() -> None:
    with pytest.raises(ValueError) as error:
        batches_of([0, 0, 1, 1, 2, 2])
    assert str(error.value) == (
        "a batch needs 4 identities but the training split has 3; "
        "lower data.identities (--data.identities 3) or add people"
    )
    for identities in ([5, 5, 5], []):
        with pytest.raises(ValueError, match=f"at least 2 identities .* has {len(set(identities))}$"):
            batches_of(identities, per_batch=1)


def test_clips_of_an_identity_differ_in_a_label_where_they_can() -> None:
    """Two people in three outfits, twice each, and one who has a single outfit."""
    identities = [0] * 6 + [1] * 6 + [2] * 3
    outfits = [0, 0, 1, 1, 2, 2, 3, 4, 5, 3, 4, 5, 6, 6, 6]
    for seed in range(10):
        batches = identity_batches(
            identities, per_batch=2, clips=3, epoch="tracklets", generator=np.random.default_rng(seed), spread=outfits
        )
        assert batches
        for batch in batches:
            for group in (batch[:3], batch[3:]):
                different = len({outfits[n] for n in group})
                assert different == (1 if identities[group[0]] == 2 else 3)


def test_groups_come_in_random_order_whoever_they_show() -> None:
    identities = [0] * 8 + [1] * 2
    batches = identity_batches(identities, per_batch=2, clips=2, epoch="groups", generator=np.random.default_rng(0))
    assert len(batches) == 2  # five groups, the odd one is left out
    used = [n for batch in batches for n in batch]
    assert len(set(used)) == 8
    assert all(identities[a] == identities[b] for a, b in zip(used[::2], used[1::2], strict=True))
    assert any(identities[batch[0]] == identities[batch[2]] for batch in batches)
