"""What the built-in world is asked about the outside method."""

from unbraid.data.benchmark import Benchmark
from unbraid.data.colour import colour_embeddings
from unbraid.evidence import Claim, Evidence
from unbraid.spaces import Embeddings


def _colours(people: Benchmark, seed: int) -> tuple[Embeddings, Embeddings]:
    return colour_embeddings(people.query), colour_embeddings(people.gallery)


EVIDENCE = Evidence(
    kind="clothes",
    rows={"full": "tiny", "half": "half", "once": "once"},
    headlines=("full",),
    sweeps=("once",),
    derived={"backwards": ("full", "backwards")},
    references={"nothing learned": _colours},
    protocols=("camera-change@1", "clothes-change@1"),
    labels=("identity", "camera", "top_colour"),
    by=("view",),
    claims=(
        Claim(
            says="two epochs are better than one",
            source="nowhere",
            better="full",
            than="half",
            protocol="camera-change@1",
        ),
        Claim(says="two epochs hide the camera", source="nowhere", better="full", than="half", label="camera"),
    ),
)
