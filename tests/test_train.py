"""Training: it learns, it continues bit for bit after a kill, it refuses what it cannot train on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.fifth import recipes as fifth
from tests.fifth.model import Fifth
from unbraid.checkpoint import Progress, build, latest, load_method, open_run, save_checkpoint
from unbraid.data.benchmark import Benchmark
from unbraid.data.sets.folder import read
from unbraid.methods.dsanet import recipes as dsanet
from unbraid.recipe import OptimConfig, find_recipe
from unbraid.train import _optimizer, learning_rate, train

REPOSITORY = Path(__file__).parents[1]
LAUNCH = """
import sys
from dataclasses import replace
from pathlib import Path
from unbraid.data.sets.folder import read
from unbraid.recipe import find_recipe
from unbraid.train import train
recipe, root, out, epochs = sys.argv[1:]
train(replace(find_recipe(recipe), epochs=int(epochs)), read(Path(root)), Path(out), resume=True, device="cpu",
      checkpoint_minutes=0)
"""


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = latest(run)
    assert checkpoint is not None
    tensors: dict[str, torch.Tensor] = load_file(checkpoint / "weights.safetensors")
    return tensors


def command(recipe: str, root: Path, out: Path, epochs: int) -> list[str]:
    return [sys.executable, "-c", LAUNCH, recipe, str(root), str(out), str(epochs)]


def test_a_killed_run_continues_bit_for_bit(people: Path, tmp_path: Path) -> None:
    recipe = replace(dsanet.tiny(), epochs=8)
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    train(recipe, read(people), straight, device="cpu")
    # sums depend on the number of threads, so the process to be killed has as many as this one
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command("dsanet:tiny", people, broken, 8), cwd=REPOSITORY, env=threads)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        reached = latest(broken)
        if reached is not None and int(reached.name) >= 5:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"
    killed_at = latest(broken)
    assert killed_at is not None
    assert not json.loads((killed_at / "progress.json").read_text())["finished"]
    train(recipe, read(people), broken, device="cpu", resume=True)
    one, other = weights(straight), weights(broken)
    assert all(torch.equal(one[name], other[name]) for name in one)
    lines = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()] for run in (straight, broken)
    ]
    assert lines[0] == lines[1]


def test_a_finished_run_is_not_trained_again(people: Path, tmp_path: Path) -> None:
    recipe = fifth.tiny()
    out = train(recipe, read(people), tmp_path / "run", device="cpu")
    before = latest(out).stat().st_mtime_ns  # type: ignore[union-attr]
    assert train(recipe, read(people), out, device="cpu", resume=True) == out
    assert latest(out).stat().st_mtime_ns == before  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="already holds a run"):
        train(recipe, read(people), out, device="cpu")
    with pytest.raises(ValueError, match=r"another recipe \(fields \['epochs'\]\)"):
        train(replace(recipe, epochs=9), read(people), out, device="cpu", resume=True)


def test_two_processes_train_like_one(people: Path, tmp_path: Path) -> None:
    # the outside method has no batch statistics, so sharing the batch must not change the result
    one = train(replace(fifth.tiny(), epochs=4), read(people), tmp_path / "one", device="cpu")
    two = tmp_path / "two"
    launch = tmp_path / "launch.py"
    launch.write_text(LAUNCH, encoding="utf-8")
    shared = ["-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines", "1"]
    shared += ["--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    done = subprocess.run(
        [sys.executable, *shared, str(launch), "tests.fifth:tiny", str(people), str(two), "4"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    a, b = weights(one), weights(two)
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-5, atol=1e-6)


def test_a_loss_that_is_not_finite_is_named(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Fifth.losses

    def broken(self: Fifth, out, batch):  # type: ignore[no-untyped-def]
        return {name: value / 0 for name, value in honest(self, out, batch).items()}

    monkeypatch.setattr(Fifth, "losses", broken)
    with pytest.raises(ValueError, match="loss 'identity' became inf at step 0"):
        train(fifth.tiny(), read(people), tmp_path / "run", device="cpu")


def test_unusable_training_data(people: Path, tmp_path: Path) -> None:
    whole = read(people)

    def only(**changes: object) -> Benchmark:
        return replace(whole, **changes)  # type: ignore[arg-type]

    one = tuple(t for t in whole.train if t.identity == "train0")
    with pytest.raises(ValueError, match="at least 2 identities"):
        train(fifth.tiny(), only(train=one), tmp_path / "run", device="cpu")
    with pytest.raises(ValueError, match="no training tracklets"):
        train(fifth.tiny(), only(train=()), tmp_path / "run", device="cpu")
    bare = tuple(replace(t, labels={}) for t in whole.train)
    with pytest.raises(ValueError, match="learns from the label 'camera'"):
        train(dsanet.tiny(), only(train=bare), tmp_path / "run", device="cpu")
    nobody = (replace(whole.train[0], identity=None), *whole.train[1:])
    with pytest.raises(ValueError, match="has no identity"):
        train(fifth.tiny(), only(train=nobody), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_lists_no_more_names_than_the_method_learns_from(people: Path, tmp_path: Path) -> None:
    run = train(replace(dsanet.tiny(), epochs=1), read(people), tmp_path / "run", device="cpu")
    assert list(json.loads((run / "classes.json").read_text())) == ["identity", "camera"]


def test_a_checkpoint_of_another_method_is_refused(people: Path, tmp_path: Path) -> None:
    ours = train(fifth.tiny(), read(people), tmp_path / "fifth", device="cpu")
    other = train(replace(dsanet.tiny(), epochs=1), read(people), tmp_path / "dsanet", device="cpu")
    for name in ("recipe.json", "classes.json"):
        (ours / name).write_text((other / name).read_text())
    with pytest.raises(ValueError, match="weights of another network"):
        load_method(ours)


def test_run_folder_says_what_it_is(people: Path, tmp_path: Path) -> None:
    out = train(fifth.tiny(), read(people), tmp_path / "run", device="cpu", tensorboard=True)
    run = open_run(out)
    assert run.recipe == fifth.tiny()
    assert run.classes["identity"] == ("train0", "train1", "train2", "train3")
    assert run.origin["synthetic"] is True
    assert list((out / "tensorboard").iterdir())
    with pytest.raises(FileNotFoundError, match="is not a run"):
        open_run(tmp_path)


def test_learning_rate_by_hand() -> None:
    step = OptimConfig(lr=1.0, step_epochs=40, decay=0.1)
    assert [learning_rate(step, 200, e) for e in (0, 39.9, 40, 80)] == pytest.approx([1, 1, 0.1, 0.01])
    cosine = OptimConfig(lr=1.0, schedule="cosine", warmup=0.1)
    assert [learning_rate(cosine, 10, e) for e in (0, 0.5, 1, 5.5, 10)] == pytest.approx([0, 0.5, 1, 0.5, 0])


@pytest.mark.parametrize(
    ("base", "rates"),
    [
        (2e-6, {1: 8.42e-7, 19: 1.94e-6, 20: 1.55e-6, 40: 6.5e-7, 59: 2.01e-7, 60: 2e-7}),
        (2e-5, {1: 1.74e-6, 19: 1.90e-5, 20: 1.55e-5, 40: 6.5e-6, 59: 2.01e-6, 60: 2e-6}),
    ],
)
def test_learning_rates_of_differ(base: float, rates: dict[int, float]) -> None:
    """The table of the method's sheet, section 4.1; constant within an epoch."""
    optim = OptimConfig(name="sgd", lr=base, schedule="epoch_cosine", warmup=20 / 60, start=7.8125e-7)
    for epoch, rate in rates.items():
        assert learning_rate(optim, 60, epoch - 1) == pytest.approx(rate, rel=5e-3)
        assert learning_rate(optim, 60, epoch - 0.01) == learning_rate(optim, 60, epoch - 1)


def test_factors_on_the_learning_rate() -> None:
    method = build(fifth.tiny(), {"identity": ("a", "b")})
    method.rates = {"classify": 10.0}
    optimizer = _optimizer(OptimConfig(name="sgd", lr=0.1, bias_rate=2.0), method)
    factors = {id(p): group["factor"] for group in optimizer.param_groups for p in group["params"]}
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(method.parameters()))
    for name, parameter in method.named_parameters():
        wanted = (2.0 if "bias" in name else 1.0) * (10.0 if name.startswith("classify") else 1.0)
        assert factors[id(parameter)] == wanted


def test_what_decays() -> None:
    method = build(find_recipe("disenq:tiny"), {"identity": ("a", "b"), "camera": ("1", "2")})
    optim = OptimConfig(weight_decay=0.1, decayed="layers")
    groups = _optimizer(optim, method).param_groups
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    plain = {name for name, p in method.named_parameters() if p.requires_grad and decays[id(p)] == 0}
    decayed = {name for name, p in method.named_parameters() if p.requires_grad and decays[id(p)] == 0.1}
    assert len(plain) + len(decayed) == len(decays)
    assert any("queries" in name for name in plain), "learned queries are no layer"
    assert {name for name in plain | decayed if name.endswith("bias")} <= plain
    norms = [name for name, m in method.named_modules() if isinstance(m, torch.nn.LayerNorm | torch.nn.BatchNorm1d)]
    assert {f"{name}.weight" for name in norms} & decayed == set()
    layers = [name for name, m in method.named_modules() if isinstance(m, torch.nn.Linear)]
    assert {f"{name}.weight" for name in layers} & plain == set()
    (everything,) = _optimizer(OptimConfig(weight_decay=0.1), method).param_groups
    assert everything["weight_decay"] == 0.1


def test_a_kill_while_a_checkpoint_is_replaced(people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import unbraid.files as files

    recipe = fifth.tiny()
    out = train(recipe, read(people), tmp_path / "run", device="cpu")
    before = weights(out)
    method, checkpoint = load_method(out), latest(out)
    assert checkpoint is not None
    optimizer = torch.optim.Adam(method.parameters())

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # the old checkpoint is in the way of the new one of the same step, and the process dies while it is deleted
    progress = Progress(step=int(checkpoint.name))
    honest = files.shutil.rmtree
    monkeypatch.setattr(
        files.shutil, "rmtree", lambda path, **how: killed() if Path(path).exists() else honest(path, **how)
    )
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(out, method, optimizer, progress)
    monkeypatch.undo()
    assert latest(out) == checkpoint
    assert all(torch.equal(value, before[name]) for name, value in weights(out).items())
    load_method(out)
