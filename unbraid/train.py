"""The training loop: one readable function, the same command and global batch on 0, 1 or n devices.

All randomness of a step follows from (seed, step), so a run that was killed continues bit for bit on the CPU.
"""

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from unbraid import checkpoint as store
from unbraid.batch import Batch, Text
from unbraid.checkpoint import Progress, Run
from unbraid.data.benchmark import Benchmark, data_hash
from unbraid.data.loader import SEVERAL, Schedule, TrainingClips, class_indices, class_names, training_batches
from unbraid.data.pairs import paired
from unbraid.files import write_text
from unbraid.method import Method
from unbraid.nn.pretrained import load_pretrained
from unbraid.progress import bar
from unbraid.recipe import OptimConfig, Recipe, differences
from unbraid.text.guidance import dictionary, fixed_texts, guidance

if TYPE_CHECKING:
    from unbraid.text.bank import TextBank

LOG_EVERY = 10
TEXTS = "texts_sha256"


def train(
    recipe: Recipe[Any],
    benchmark: Benchmark,
    out: Path,
    *,
    resume: bool = False,
    weights: Path | None = None,
    device: Literal["auto", "cpu"] = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    workers: int = 0,
    checkpoint_minutes: float = 5.0,
    tensorboard: bool = False,
    bank: "TextBank | None" = None,
) -> Path:
    """Train a recipe on the train split of a benchmark; returns the run folder.

    resume: continue the run in `out` (or start it when there is none); the recipe must be the same.
    weights: local file for a pretrained trunk instead of the library's own.
    precision: 'auto' is bf16 where the device computes it natively, else fp32.
    workers: processes that read data; 0 reads in this one.
    bank: the texts of the training tracklets, for methods that learn from text; or the fixed texts of methods that
        retrieve from some, which a run that goes on has in its checkpoint.
    Under `accelerate launch` or `torchrun` each process takes its share of the same global batch.
    Raises ValueError for unusable data, missing texts, an existing run, a changed recipe, or a loss that is not finite
    (naming the term); OSError when the folder cannot be written. Ctrl-C saves a checkpoint before it leaves.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=_precision(precision, device))
    if accelerator.gradient_accumulation_steps > 1:
        raise ValueError(
            "gradient accumulation is refused: losses over a batch (triplet, within-identity) would see parts of it; "
            "lower data.identities or data.clips, or use more devices"
        )
    rank, world = accelerator.process_index, accelerator.num_processes
    size = recipe.data.identities * recipe.data.clips
    if size % world:
        what = "pairs" if recipe.data.pairs else "clips"
        raise ValueError(f"a global batch of {size} {what} cannot be shared by {world} processes; change either")
    out = Path(out)
    benchmark = paired(benchmark, recipe.data.pairs)
    classes = _classes(benchmark)
    identities = class_indices(benchmark.train, "identity", classes["identity"]).tolist()
    # whatever can be wrong with recipe, data and weights is found before anything is written
    spread = _spread(benchmark, classes, recipe.data.spread)
    Schedule(identities, recipe.data, epochs=1, seed=recipe.seed, spread=spread).epoch(0)
    method = store.build(recipe, classes)
    classes = {name: classes[name] for name in ("identity", *method.supervision, *method.sensor) if name in classes}
    start = store.latest(out)
    fixed = dictionary(recipe, method.dictionary, bank) if start is None else bank
    bank = guidance(recipe, method.aspects, benchmark, bank)
    if start is None:
        load_pretrained(method, weights)
        if fixed is not None:
            method.set_dictionary(fixed_texts(fixed, method.dictionary))
    if accelerator.is_main_process:
        run = _run(recipe, benchmark, classes, out, resume, bank or fixed)
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        run = store.open_run(out)
    if world > 1 and accelerator.device.type == "cuda":
        method = nn.SyncBatchNorm.convert_sync_batchnorm(method)
    optimizer = _optimizer(recipe.optim, method)
    factors = [group["factor"] for group in optimizer.param_groups]
    progress = store.load_checkpoint(start, method, optimizer) if start else Progress()
    if progress.finished:
        return out
    network, optimizer = accelerator.prepare(method, optimizer)
    method = accelerator.unwrap_model(network)

    schedule = Schedule(
        identities,
        recipe.data,
        epochs=recipe.epochs,
        seed=recipe.seed,
        start=(progress.epoch, progress.step_in_epoch, progress.step),
        share=(rank, world),
        spread=spread,
    )
    clips = TrainingClips(benchmark.train, recipe.data, seed=recipe.seed)
    supervision = {name: run.classes[name] for name in method.supervision}
    sensor = {name: run.classes.get(name, ()) for name in method.sensor}
    network.train()

    def save(reached: Progress) -> None:
        if accelerator.is_main_process:
            store.save_checkpoint(out, method, optimizer, reached)

    if start is None:
        save(progress)
    saved = time.monotonic()
    length = len(schedule.epoch(progress.epoch))
    logging = _log(out, progress.step, accelerator.is_main_process, tensorboard)
    with logging as log, bar() as display, _noticing_interrupts() as interrupted:
        task = display.add_task("train", total=recipe.epochs * length, completed=progress.step, note="")
        batches = training_batches(
            clips, schedule, supervision, workers=workers, sensor=sensor, texts=bank, aspects=method.aspects
        )
        for loaded in batches:
            batch = loaded.to(accelerator.device)
            rate = learning_rate(recipe.optim, recipe.epochs, progress.epoch + progress.step_in_epoch / length)
            for group, factor in zip(optimizer.param_groups, factors, strict=True):
                group["lr"] = rate * factor
            torch.manual_seed(recipe.seed + 1_000_003 * (progress.step + 1) + rank)
            with accelerator.autocast():
                named = network(batch)
            terms, total = _losses(method, named, batch, world)
            values = _finite(terms, total, progress)
            optimizer.zero_grad(set_to_none=True)
            accelerator.backward(total)
            if recipe.optim.max_norm is not None:
                accelerator.clip_grad_norm_(network.parameters(), recipe.optim.max_norm)
            optimizer.step()
            if progress.step % LOG_EVERY == 0:
                # of this process's share of the batch
                seen = {name: float(value) for name, value in method.monitor(named, batch).items()}
                log({"step": progress.step, "epoch": progress.epoch, "lr": rate, **values, **seen})
            display.update(task, advance=1, note=f"loss {values['total']:.3f}")
            progress = _advance(progress, length)
            if progress.step_in_epoch == 0 and progress.epoch < recipe.epochs:
                length = len(schedule.epoch(progress.epoch))
            if time.monotonic() - saved >= 60 * checkpoint_minutes:
                save(progress)
                saved = time.monotonic()
            if interrupted():
                save(progress)
                raise KeyboardInterrupt
        save(replace(progress, finished=True))
    accelerator.wait_for_everyone()
    return out


def learning_rate(optim: OptimConfig, epochs: int, position: float) -> float:
    """The rate at a position in epochs (whole epochs done plus the share of the current one).

    Source of 'epoch_cosine': DIFFER's released settings (TransReID's), with e = 1, 2, ... the number of the epoch.
    """
    warm = optim.warmup * epochs
    if optim.schedule == "epoch_cosine":
        epoch = int(position) + 1
        if epoch < warm:
            return optim.start + epoch * (optim.lr - optim.start) / warm
        return optim.lr * (0.1 + 0.45 * (1 + math.cos(math.pi * epoch / epochs)))
    if optim.warmup > 0 and position < warm:
        return optim.start + (optim.lr - optim.start) * position / warm
    if optim.schedule == "step":
        return optim.lr * optim.decay ** (int(position) // optim.step_epochs)
    done = (position - warm) / (epochs - warm)
    return optim.lr * 0.5 * (1 + math.cos(math.pi * done))


def _precision(precision: str, device: str) -> str:
    """'bf16' or 'no' in Accelerate's words; automatic bf16 only where the hardware has it."""
    if precision == "auto":
        native = device != "cpu" and torch.cuda.is_available() and torch.cuda.get_device_capability() >= (8, 0)
        return "bf16" if native else "no"
    return "no" if precision == "fp32" else "bf16"


def _classes(benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    if not benchmark.train:
        raise ValueError(f"{benchmark.name} has no training tracklets; give a data set whose index has split 'train'")
    unknown = [t.key for t in benchmark.train if t.identity is None]
    if unknown:
        raise ValueError(f"{benchmark.name}: training tracklet {unknown[0]!r} has no identity; label it or drop it")
    return class_names(benchmark.train)


def _spread(benchmark: Benchmark, classes: Mapping[str, tuple[str, ...]], label: str) -> list[int] | None:
    """The class of each training tracklet in the label that the clips of an identity shall differ in."""
    if not label:
        return None
    if label not in classes or label in SEVERAL:
        raise ValueError(
            f"data.spread = {label!r}, but not every training tracklet of {benchmark.name} has that label; "
            f"they have {sorted(set(classes) - set(SEVERAL))}. Name one of these, or '' for none"
        )
    found: list[int] = class_indices(benchmark.train, label, classes[label]).tolist()
    return found


def _run(
    recipe: Recipe[Any],
    benchmark: Benchmark,
    classes: Mapping[str, tuple[str, ...]],
    out: Path,
    resume: bool,
    bank: "TextBank | None",
) -> Run:
    """The run to continue, or a new one."""
    if resume and (out / "recipe.json").exists():
        run = store.open_run(out)
        changed = differences(run.recipe, recipe)
        if changed:
            raise ValueError(f"{out} was trained with another recipe (fields {changed}); resume with the same one")
        if run.origin.get("data") != data_hash(benchmark.train):
            raise ValueError(
                f"{out} was trained on other tracklets than those of {benchmark.name}; resume with the same"
            )
        texts = run.origin.get("texts")
        if texts and bank and (texts.get("encoder"), texts.get(TEXTS)) != (bank.encoder, bank.origin.get(TEXTS)):
            raise ValueError(f"{out} was trained with other texts than those of the bank; resume with the same")
        return run
    import unbraid

    origin = {
        "benchmark": benchmark.name,
        "synthetic": benchmark.synthetic,
        "tracklets": len(benchmark.train),
        "data": data_hash(benchmark.train),
        "unbraid": unbraid.__version__,
        "torch": torch.__version__,
        **({"texts": {"encoder": bank.encoder, **bank.origin}} if bank is not None else {}),
    }
    return store.create_run(out, recipe, classes, origin)


def _optimizer(optim: OptimConfig, method: Method) -> torch.optim.Optimizer:
    """One group of parameters per factor on the learning rate and weight decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in method.named_parameters():
        if parameter.requires_grad:
            factor = optim.bias_rate if "bias" in name else 1.0
            for prefix, own in method.rates.items():
                factor *= own if name.startswith(prefix) else 1.0
            layer = name.endswith("weight") and parameter.ndim > 1
            decay = optim.weight_decay if layer or optim.decayed == "all" else 0.0
            groups.setdefault((factor, decay), []).append(parameter)
    named = [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
    if optim.name == "sgd":
        return torch.optim.SGD(named, lr=optim.lr, weight_decay=optim.weight_decay, momentum=0.9)
    kind = torch.optim.Adam if optim.name == "adam" else torch.optim.AdamW
    return kind(named, lr=optim.lr, weight_decay=optim.weight_decay)


def _losses(method: Method, out: Mapping[str, Tensor], batch: Batch, world: int) -> tuple[dict[str, Tensor], Tensor]:
    """Unweighted terms and their weighted sum over the global batch.

    With several processes, outputs, labels and text are joined first. Gradients flow back through the joining, and
    since every process computes the same loss, the mean that data-parallel training takes over processes is its
    gradient.
    """
    if world > 1:
        labels = {name: _join(value) for name, value in batch.labels.items()}
        text = {name: Text(_join(t.tokens), _join(t.mask)) for name, t in batch.text.items()}
        batch = Batch(batch.clip, labels, batch.keys, text)
        out = {name: _join(value) for name, value in out.items()}
    terms = method.losses(out, batch)
    total = torch.stack([getattr(method.config.weights, name) * value for name, value in terms.items()]).sum()
    return terms, total


def _join(value: Tensor) -> Tensor:
    from torch.distributed.nn.functional import all_gather

    if value.dtype == torch.bool:
        return _join(value.to(torch.uint8)).to(torch.bool)
    return torch.cat(list(all_gather(value.contiguous())))


def _finite(terms: Mapping[str, Tensor], total: Tensor, progress: Progress) -> dict[str, float]:
    """Values of all terms and the total. Raises ValueError naming the first term that is not finite."""
    stacked = torch.stack([*terms.values(), total]).detach().tolist()
    values = dict(zip([*terms, "total"], stacked, strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise ValueError(
                f"loss {name!r} became {value} at step {progress.step} (epoch {progress.epoch}); training stopped, "
                f"the last checkpoint is kept. Lower optim.lr or set optim.max_norm"
            )
    return values


def _advance(progress: Progress, length: int) -> Progress:
    last = progress.step_in_epoch + 1 >= length
    return Progress(
        epoch=progress.epoch + last,
        step_in_epoch=0 if last else progress.step_in_epoch + 1,
        step=progress.step + 1,
    )


@contextmanager
def _noticing_interrupts() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the present step then ends first, so that what is saved is a whole step.

    A second Ctrl-C interrupts at once. Outside the main thread Python delivers no signals and nothing is noticed.
    """
    noticed = False

    def note(*_: object) -> None:
        nonlocal noticed
        if noticed:
            raise KeyboardInterrupt
        noticed = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: noticed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _log(out: Path, step: int, active: bool, tensorboard: bool) -> Iterator[Any]:
    """A function that appends one line of metrics; lines from after the checkpoint are dropped first."""
    if not active:
        yield lambda values: None
        return
    path = out / "metrics.jsonl"
    kept = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            # a line that was cut off by a kill is the last one, and newer than the checkpoint
            if line.endswith("}") and json.loads(line)["step"] < step:
                kept.append(line + "\n")
    write_text(path, "".join(kept))
    writer = None
    if tensorboard:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError("--tensorboard needs the extra: pip install 'unbraid[tensorboard]'") from error
        writer = SummaryWriter(str(out / "tensorboard"), purge_step=step)
    file: IO[str]
    with path.open("a", encoding="utf-8") as file:

        def write(values: Mapping[str, Any]) -> None:
            file.write(json.dumps(values) + "\n")
            file.flush()
            if writer is not None:
                for name, value in values.items():
                    writer.add_scalar(name, value, values["step"])

        try:
            yield write
        finally:
            if writer is not None:
                writer.close()
