"""The shape space of the synthetic people: one mesh, sixteen components, a few hundred stored adults."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from unbraid.world.people.skeleton import BONES, PARENTS, Floats

HEIGHTS = (1.50, 1.98)
MIXED = 3
# Even shares of three have a mean sum of squares of 1/2, one adult alone of 1: this undoes a part of the narrowing, so
# that the variety is that of points evenly between two adults (2/3).
REACH = float(np.sqrt((2 / 3) / (1 / 2)))
EYE, LIP = 1, 2


@dataclass(frozen=True, eq=False)
class BodyModel:
    """Adult shapes as mean + coefficients x basis; rest pose with arms half lowered, metres, z up.

    mean (P, 3) and basis (K, P, 3): points are the V mesh vertices followed by the 19 joint heads.
    coefficients (N, K), phenotypes (N, 6), heights (N,): the stored adults; a component has unit variance over them.
    faces (F, 3) int32, counter-clockwise seen from outside. bone_index (V, 4) int32 and bone_weight (V, 4)
    float32, rows summing to 1. region (V,) uint8: EYE, LIP or 0.
    """

    mean: Floats
    basis: Floats
    coefficients: Floats
    phenotypes: Floats
    phenotype_names: tuple[str, ...]
    heights: Floats
    faces: NDArray[np.int32]
    bone_index: NDArray[np.int32]
    bone_weight: NDArray[np.float32]
    region: NDArray[np.uint8]

    @property
    def vertex_count(self) -> int:
        """Number of mesh vertices V."""
        return len(self.bone_index)

    def shape(self, coefficients: Floats) -> tuple[Floats, Floats]:
        """Rest vertices (V, 3) and joint heads (19, 3) of one body; coefficients (K,)."""
        points = self.mean + np.tensordot(coefficients, self.basis, axes=1)
        return points[: self.vertex_count], points[self.vertex_count :]


@dataclass(frozen=True, eq=False)
class Shape:
    """One person's rest body. vertices (V, 3), joints (19, 3), height in metres, phenotypes in 0..1 by name."""

    vertices: Floats
    joints: Floats
    height: float
    phenotypes: dict[str, float]

    @property
    def sex(self) -> str:
        """'female' or 'male': the label of the generator that the shape came from."""
        return "female" if self.phenotypes["gender"] > 0.5 else "male"


@cache
def body_model() -> BodyModel:
    """The body file of this package, read once. Raises ValueError when the file is not what this code expects."""
    with (
        as_file(files("unbraid.world.people") / "body.safetensors") as path,
        safe_open(path, framework="numpy") as file,
    ):
        facts = file.metadata()
        tensors: dict[str, NDArray[Any]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if tuple(json.loads(facts["bones"])) != BONES or tuple(json.loads(facts["parents"])) != PARENTS:
        raise ValueError("body.safetensors has another skeleton than this code; build it with scripts/build_body.py")
    scale = tensors["scale"].astype(np.float64)
    return BodyModel(
        mean=tensors["mean"].astype(np.float64),
        basis=tensors["basis"] * scale[:, None, None],
        coefficients=tensors["coefficients"].astype(np.float64),
        phenotypes=tensors["phenotypes"].astype(np.float64),
        phenotype_names=tuple(json.loads(facts["phenotypes"])),
        heights=tensors["heights"].astype(np.float64),
        faces=tensors["faces"].astype(np.int32),
        bone_index=tensors["bone_index"].astype(np.int32),
        bone_weight=tensors["bone_weight"].astype(np.float32) / np.float32(255),
        region=tensors["region"],
    )


def draw_shape(random: np.random.Generator, *, spread: float) -> Shape:
    """A new adult among three stored adults of one sex.

    spread: factor on every component but the first (mostly stature) about the mean of the sex; 1 keeps the
    natural variety, larger values exaggerate build. Bodies outside HEIGHTS are drawn again.

    Source: not in a paper; three adults, because among 400 people mixed from two some are alike to a millimetre.
    """
    model = body_model()
    woman = bool(random.random() < 0.5)
    rows = np.flatnonzero((model.phenotypes[:, 0] > 0.5) == woman)
    while True:
        chosen, shares = random.choice(rows, size=MIXED, replace=False), random.dirichlet(np.ones(MIXED))
        coefficients, phenotypes = (
            _mixed(table[chosen], shares, table[rows].mean(0), spread)
            for table in (model.coefficients, model.phenotypes)
        )
        vertices, joints = model.shape(coefficients)
        height = float(np.ptp(vertices[:, 2]))
        if HEIGHTS[0] <= height <= HEIGHTS[1]:
            values = dict(zip(model.phenotype_names, np.clip(phenotypes, 0.0, 1.0).tolist(), strict=True))
            return Shape(vertices=vertices, joints=joints, height=height, phenotypes=values)


def _mixed(table: Floats, shares: Floats, middle: Floats, spread: float) -> Floats:
    """The mixed row (K,) of table (MIXED, K), away from `middle` by `spread` in all columns but the first."""
    away = REACH * (shares @ table - middle)
    away[1:] *= spread
    return np.asarray(middle + away)
