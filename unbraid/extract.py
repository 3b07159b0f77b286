"""Method and tracklets to embeddings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from unbraid.batch import Clip
from unbraid.checkpoint import load_method, open_run, weights_hash
from unbraid.data.benchmark import Benchmark, data_hash, label_table
from unbraid.data.loader import Guarded, TestClips, known, unguarded
from unbraid.method import TRUNK, Method
from unbraid.progress import track
from unbraid.recipe import DataConfig
from unbraid.spaces import Embeddings, Spaces
from unbraid.tracklet import Tracklet


def extract(
    method: Method,
    tracklets: Sequence[Tracklet],
    data: DataConfig,
    *,
    every_frame: bool = True,
    spaces: Sequence[str] = (),
    clips_per_batch: int = 32,
    frames_per_batch: int = 1024,
    device: str | None = None,
    workers: int = 0,
    origin: Mapping[str, str] | None = None,
    classes: Mapping[str, Sequence[str]] | None = None,
) -> Embeddings:
    """Embeddings of tracklets, one row each, in their order; every space is the mean over a tracklet's clips.

    data: the recipe's data config, for frame size, clip length and the order of the all-frames test.
    every_frame: use all frames; False takes one clip of each tracklet (the first frame of every chunk).
    clips_per_batch, frames_per_batch: what is computed at once at most, padding included; a single clip always is.
    spaces: beside identity; all of the method's when none is named. What need not be computed is not, where it can.
        'trunk' is what the network saw before anything was pulled apart, made only when named.
    device: where to compute; None is a GPU when there is one.
    classes: the run's class names, from which methods learn the camera or sensor of a clip; without them it is unknown.
    Raises ValueError when there is nothing to extract or a frame does not decode (naming tracklet and file); KeyError
    for a space that the method lacks.
    Source: DSANet section 4.2 for both test modes.
    """
    if not tracklets:
        raise ValueError("there are no tracklets to extract; check the split and the data folder")
    where, names = device_of(device), _wanted(method, spaces)
    clips = TestClips(tracklets, data, every_frame=every_frame)
    loader: DataLoader[tuple[int, Tensor]] = DataLoader(Guarded(clips), batch_size=None, num_workers=workers)
    method = method.to(where).eval()
    facts = {
        name: torch.tensor([known(t, name, (classes or {}).get(name, ())) for t in tracklets]) for name in method.sensor
    }
    sums: dict[str, Tensor] = {}
    counts = torch.zeros(len(tracklets))
    with torch.inference_mode():
        found = track(unguarded(loader), "extract", total=len(tracklets))
        for rows, several in _in_batches(found, clips_per_batch, frames_per_batch):
            counts += torch.bincount(rows, minlength=len(tracklets))
            clip = replace(_padded(several), sensor={name: fact[rows] for name, fact in facts.items()}).to(where)
            for name, value in method.encode_only(clip, names).items():
                if name not in sums:
                    sums[name] = torch.zeros(len(tracklets), *value.shape[1:])
                sums[name].index_add_(0, rows, value.float().cpu())
    means = {name: value / counts.view(-1, *[1] * (value.ndim - 1)) for name, value in sums.items()}
    return Embeddings(Spaces(means), label_table(tracklets), dict(origin or {}))


def extract_run(
    folder: Path,
    benchmark: Benchmark,
    out: Path,
    *,
    splits: Sequence[str] = ("query", "gallery"),
    every_frame: bool = True,
    spaces: Sequence[str] = (),
    device: str | None = None,
    workers: int = 0,
) -> dict[str, Embeddings]:
    """Embeddings of the splits of a benchmark by the method of a run folder, saved as out/<split>.

    Splits without tracklets are passed over; ones already extracted with the same weights from the same tracklets
    are read back, with whatever other spaces they hold. spaces: as in `extract`.
    Raises ValueError when none of the splits has a tracklet, and as `extract`.
    """
    run, method = open_run(folder), load_method(folder)
    names = _wanted(method, spaces)
    wanted = {split: getattr(benchmark, split) for split in splits}
    wanted = {split: tracklets for split, tracklets in wanted.items() if tracklets}
    if not wanted:
        raise ValueError(f"{benchmark.name} has no tracklets in {list(splits)}")
    result = {}
    for split, tracklets in wanted.items():
        origin = {
            "method": run.recipe.method,
            "weights": weights_hash(folder),
            "frames": "all" if every_frame else "one clip",
            "benchmark": benchmark.name,
            "synthetic": str(benchmark.synthetic).lower(),
            "split": split,
            "data": data_hash(tracklets),
        }
        place = Path(out) / split
        found = _readable(place)
        stale = found is None or any(found.origin.get(name) != value for name, value in origin.items())
        if found is None or stale or not set(names) <= set(found.spaces):
            found = extract(
                method,
                tracklets,
                run.recipe.data,
                every_frame=every_frame,
                spaces=names,
                device=device,
                workers=workers,
                origin=origin,
                classes=run.classes,
            )
            found.save(place)
        result[split] = found
    return result


def _wanted(method: Method, spaces: Sequence[str]) -> tuple[str, ...]:
    """The spaces to compute, identity first."""
    known = (*method.spaces, TRUNK)
    lacking = [name for name in spaces if name not in known]
    if lacking:
        raise KeyError(f"no space {lacking[0]!r}; {type(method).__name__} has {', '.join(known)}")
    return tuple(dict.fromkeys(("identity", *(spaces or method.spaces))))


def _readable(place: Path) -> Embeddings | None:
    """Embeddings that an earlier run left, None when they are missing or damaged and must be made again."""
    try:
        return Embeddings.load(place)
    except (FileNotFoundError, ValueError):
        return None


def device_of(name: str | None) -> torch.device:
    """The device of a name, a GPU when there is one for None. Raises ValueError for one that cannot be used."""
    wanted = name or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros(1, device=wanted).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {wanted!r} cannot be used ({str(error).splitlines()[0]}); try 'cpu'") from error


def _in_batches(items: Iterable[tuple[int, Tensor]], size: int, frames: int) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Clips of successive tracklets packed into batches, with the tracklet of each clip: at most `size` clips, and no
    more than `frames` frames when all are padded to the longest."""
    rows: list[int] = []
    held: list[Tensor] = []
    longest = 0
    for number, clips in items:
        for clip in clips:
            longest = max(longest, len(clip))
            if held and (len(held) == size or longest * (len(held) + 1) > frames):
                yield torch.tensor(rows), held
                rows, held, longest = [], [], len(clip)
            rows.append(number)
            held.append(clip)
    if held:
        yield torch.tensor(rows), held


def _padded(clips: Sequence[Tensor]) -> Clip:
    """Clips T C H W as one batch; where they differ in T, the shorter ones end in frames that are not valid."""
    lengths = torch.tensor([len(clip) for clip in clips])
    if (lengths == lengths[0]).all():
        return Clip.of(torch.stack(list(clips)))
    valid = torch.arange(int(lengths.max())) < lengths[:, None]
    return Clip(torch.nn.utils.rnn.pad_sequence(list(clips), batch_first=True), valid)
