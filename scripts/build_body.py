"""Builds `unbraid/world/people/body.safetensors`, the shape space of the built-in synthetic people.

    ANNY_CACHE_DIR=<folder> python scripts/build_body.py [--compare EARLIER.npz] [--out FILE]

Needs `pip install anny==0.6.2 safetensors` in an environment of its own: anny is a tool of this script, never of
the library. Its first model takes minutes and is then cached. The file holds a principal component
analysis of random adult bodies, over mesh vertices and joint positions together, so that a shape and its
skeleton always agree. Metres, x to the person's left, y to the back, z up.
"""

import argparse
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

Array = NDArray[Any]

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")
# Ranges inside which the generator is trusted: adults of 25 to about 85 years; 'height' 0.5 would be 1.9 m.
RANGES = {
    "age": (2 / 3, 0.97),
    "muscle": (0.2, 0.9),
    "weight": (0.1, 0.95),
    "height": (0.2, 0.56),
    "proportions": (0, 1),
}
STATURES = (1.42, 2.05)

# our bone: the generator's bone whose head is the joint, our parent, prefixes of the generator's bones merged into it
SIDES = (("left", "L"), ("right", "R"))
SPINE = (
    ("root", "root", None, ("root", "pelvis")),
    ("spine", "spine05", "root", ("spine05", "spine04")),
    ("chest", "spine03", "spine", ("spine03", "spine02", "spine01", "breast")),
    ("neck", "neck01", "chest", ("neck",)),
    ("head", "head", "neck", ("",)),
)
ARM = (
    ("clavicle", "clavicle", "chest", ("clavicle", "shoulder")),
    ("upper_arm", "upperarm01", "{}_clavicle", ("upperarm",)),
    ("forearm", "lowerarm01", "{}_upper_arm", ("lowerarm",)),
    ("hand", "wrist", "{}_forearm", ("wrist", "finger", "metacarpal")),
)
LEG = (
    ("thigh", "upperleg01", "root", ("upperleg",)),
    ("shank", "lowerleg01", "{}_thigh", ("lowerleg",)),
    ("foot", "foot", "{}_shank", ("foot", "toe")),
)


def bone_table() -> list[tuple[str, str, str | None, tuple[str, ...], str]]:
    """Rows of name, joint, parent, prefixes, suffix ('.L', '.R' or '')."""
    rows = [(*row, "") for row in SPINE]
    for chain in (ARM, LEG):
        for side, letter in SIDES:
            for name, joint, parent, prefixes in chain:
                rows.append((f"{side}_{name}", f"{joint}.{letter}", parent.format(side), prefixes, f".{letter}"))
    return rows


def owner(label: str, table: list[tuple[str, str, str | None, tuple[str, ...], str]]) -> int:
    """The index of our bone that takes over the weights of the generator's bone `label`."""
    for sided in (True, False):
        for number, (_, _, _, prefixes, suffix) in enumerate(table):
            if bool(suffix) == sided and label.endswith(suffix) and any(p and label.startswith(p) for p in prefixes):
                return number
    return [row[0] for row in table].index("head")


def draws(count: int, seed: int) -> Iterator[dict[str, float]]:
    """Endless random adult phenotypes, women (gender near 1) and men (near 0) in turn."""
    random = np.random.default_rng(seed)
    woman = False
    while True:
        values = {name: float(random.uniform(*RANGES[name])) for name in PHENOTYPES[1:]}
        yield {"gender": float(random.uniform(0.85, 1.0) if woman else random.uniform(0.0, 0.15)), **values}
        woman = not woman


def sample(model: Any, count: int, seed: int) -> tuple[Array, Array, Array]:
    """Vertices (N, V, 3), bone heads (N, bones, 3) and phenotypes (N, 6) of `count` adults inside STATURES."""
    import torch

    vertices, heads, values = [], [], []
    for phenotype in draws(count, seed):
        with torch.no_grad():
            shape = model(phenotype_kwargs={name: torch.tensor([value]) for name, value in phenotype.items()})
        mesh = shape["rest_vertices"][0].numpy()
        if STATURES[0] <= np.ptp(mesh[:, 2]) <= STATURES[1]:
            vertices.append(mesh)
            heads.append(shape["rest_bone_heads"][0].numpy())
            values.append([phenotype[name] for name in PHENOTYPES])
        if len(vertices) == count:
            return np.stack(vertices), np.stack(heads), np.array(values, np.float32)
    raise AssertionError("unreachable: draws() never ends")


def merged_weights(model: Any, owners: Array, bones: int, keep: int = 4) -> tuple[Array, Array]:
    """The `keep` strongest of our bones per vertex (V, keep) and their weights in 1/255 (rows sum to 255), uint8."""
    index, weight = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy().astype(np.float64)
    full = np.zeros((len(index), bones))
    for column in range(index.shape[1]):
        np.add.at(full, (np.arange(len(index)), owners[index[:, column]]), weight[:, column])
    order = np.argsort(-full, axis=1, kind="stable")[:, :keep]
    kept = np.take_along_axis(full, order, axis=1)
    whole = np.round(255 * kept / kept.sum(1, keepdims=True))
    whole[:, 0] += 255 - whole.sum(1)
    return order.astype(np.uint8), whole.astype(np.uint8)


def regions(model: Any, labels: list[str]) -> Array:
    """Per vertex (V,) uint8: 1 where an eye bone weighs most, 2 for the lips, 0 elsewhere."""
    strongest = np.take_along_axis(
        model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy().argmax(1)[:, None], axis=1
    )[:, 0]
    kind = np.array([1 if b.startswith("eye") else 2 if b.startswith("oris") else 0 for b in labels], np.uint8)
    return np.asarray(kind[strongest])


def quantised(basis: Array) -> tuple[Array, Array]:
    """int16 components and their float32 scales, basis = scale * integers."""
    scale = np.abs(basis).max(axis=(1, 2)) / 32767
    return np.round(basis / scale[:, None, None]).astype(np.int16), scale.astype(np.float32)


def build(out: Path, count: int, components: int, seed: int) -> tuple[Array, Array]:
    """Write the body file; returns the true points (N, V + bones, 3) and those read back from the file."""
    import torch

    model = importlib.import_module("anny").Anny(rig="makehuman", topology="anny").to(dtype=torch.float32)
    labels, table = list(model.bone_labels), bone_table()
    vertices, heads, phenotypes = sample(model, count, seed)
    joints = heads[:, [labels.index(row[1]) for row in table]]
    points = np.concatenate([vertices, joints], axis=1).astype(np.float64)
    mean = points.mean(0)
    left, singular, right = np.linalg.svd((points - mean).reshape(count, -1), full_matrices=False)
    deviation = singular[:components] / np.sqrt(count)
    basis, scale = quantised(right[:components].reshape(components, -1, 3) * deviation[:, None, None])
    coefficients = (left[:, :components] * np.sqrt(count)).astype(np.float32)
    index, weight = merged_weights(model, np.array([owner(b, table) for b in labels]), len(table))
    names = [row[0] for row in table]
    parents = [-1 if row[2] is None else names.index(row[2]) for row in table]
    tensors = {
        "mean": mean.astype(np.float32),
        "basis": basis,
        "scale": scale,
        "coefficients": coefficients,
        "phenotypes": phenotypes,
        "heights": np.ptp(vertices[:, :, 2], axis=1).astype(np.float32),
        "faces": model.get_triangular_faces().numpy().astype(np.uint16),
        "bone_index": index,
        "bone_weight": weight,
        "region": regions(model, labels),
    }
    metadata = {
        "bones": json.dumps(names),
        "parents": json.dumps(parents),
        "phenotypes": json.dumps(PHENOTYPES),
        "licence": "CC0-1.0, see body.LICENSE.txt",
        "made_by": f"scripts/build_body.py with anny 0.6.2, {count} adults, seed {seed}",
    }
    save_file(tensors, out, metadata=metadata)
    share = singular**2 / (singular**2).sum()
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {len(tensors['faces'])} faces, {components} components hold "
          f"{100 * share[:components].sum():.3f} % of the variance, the first {100 * share[0]:.1f} %")  # fmt: skip
    heights = tensors["heights"]
    print(f"heights {heights.min():.2f} to {heights.max():.2f} m, mean {heights.mean():.2f} m")
    return points, decoded(load_file(out))


def decoded(file: dict[str, Array]) -> Array:
    """Points (N, V + bones, 3) of every stored row."""
    basis = file["basis"] * file["scale"][:, None, None].astype(np.float64)
    return np.asarray(file["mean"] + np.tensordot(file["coefficients"].astype(np.float64), basis, axes=1))


def compare(out: Path, earlier_path: Path) -> None:
    """Print how well the two shape spaces describe each other's adults (mean vertex distance in millimetres)."""
    ours, earlier = load_file(out), np.load(earlier_path, allow_pickle=False)
    theirs = earlier["mean"] + np.tensordot(earlier["coef"], earlier["basis"].astype(np.float64), axes=1)
    adult = (earlier["height_m"] > STATURES[0]) & (earlier["height_m"] < STATURES[1]) & (earlier["ph_age"] > 2 / 3)
    print(f"same faces: {np.array_equal(ours['faces'], earlier['faces'])}; earlier adults: {adult.sum()}")
    distance = np.linalg.norm(ours["mean"] - theirs[adult].mean(0), axis=-1)
    print(f"mean shapes are {1000 * distance.mean():.1f} mm apart (different random people)")
    basis = (ours["basis"] * ours["scale"][:, None, None].astype(np.float64)).reshape(len(ours["scale"]), -1)
    residual(basis, ours["mean"], theirs[adult], "earlier adults in our space")
    residual(
        earlier["basis"].astype(np.float64).reshape(16, -1), earlier["mean"], decoded(ours), "ours in the earlier space"
    )


def residual(basis: Array, mean: Array, points: Array, name: str) -> None:
    """Print the distance between points (N, P, 3) and their best approximation in the space."""
    flat = (points - mean).reshape(len(points), -1)
    left = flat - np.linalg.lstsq(basis.T, flat.T, rcond=None)[0].T @ basis
    distance = 1000 * np.linalg.norm(left.reshape(points.shape), axis=-1)
    print(f"{name}: mean {distance.mean():.2f} mm, worst point {distance.max():.1f} mm")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[1] / "unbraid" / "world" / "people" / "body.safetensors"
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--count", type=int, default=320, help="random adults")
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", type=Path, help="an earlier body model (.npz) with the same mesh")
    arguments = parser.parse_args()
    true, stored = build(arguments.out, arguments.count, arguments.components, arguments.seed)
    distance = 1000 * np.linalg.norm(true - stored, axis=-1)
    print(f"stored rows against the true bodies: mean {distance.mean():.2f} mm, worst point {distance.max():.1f} mm")
    if arguments.compare is not None:
        compare(arguments.out, arguments.compare)


if __name__ == "__main__":
    main()
