"""What the built-in world is asked about DSANet."""

from unbraid.data.benchmark import Benchmark
from unbraid.data.colour import colour_embeddings
from unbraid.evidence import Claim, Evidence
from unbraid.spaces import Embeddings

CAMERA_CHANGE = "camera-change@1"
LS_VID = "Table 2, LS-VID, one clip per tracklet, rank-1"


def _colours(people: Benchmark, seed: int) -> tuple[Embeddings, Embeddings]:
    """As favourable as four tried settings allow: the middle of the frame, casts of cameras removed."""
    query, gallery = (
        colour_embeddings(split, centre=0.25, grey_world=True, synthetic=people.synthetic)
        for split in (people.query, people.gallery)
    )
    return query, gallery


EVIDENCE = Evidence(
    kind="video",
    rows={
        "full": "world",
        "baseline": "world_baseline",
        "no camera branch": "world_no_camera",
        "no switching": "world_no_switching",
        "no localising": "world_no_localising",
        "no frame weights": "world_no_weighing",
        "the paper's weights": "world_paper_weights",
    },
    headlines=("full", "baseline"),
    sweeps=("the paper's weights",),
    references={"colour histograms": _colours},
    protocols=(CAMERA_CHANGE,),
    labels=("identity", "camera", "view"),
    claims=(
        Claim(
            says="the whole method recognises better than its trunk",
            source=f"{LS_VID}: 75.8 against 73.3",
            better="full",
            than="baseline",
            protocol=CAMERA_CHANGE,
        ),
        Claim(
            says="switching camera features helps",
            source=f"{LS_VID}: 75.8 against 75.5",
            better="full",
            than="no switching",
            protocol=CAMERA_CHANGE,
        ),
        Claim(
            says="localising the target helps",
            source=f"{LS_VID}: 73.7 with it alone against 73.3",
            better="full",
            than="no localising",
            protocol=CAMERA_CHANGE,
        ),
        Claim(
            says="weighing frames helps",
            source=f"{LS_VID}: 74.1 with it alone against 73.3",
            better="full",
            than="no frame weights",
            protocol=CAMERA_CHANGE,
        ),
        Claim(
            says="a camera branch takes the camera out of the identity space",
            source="shown as a t-SNE picture on LS-VID, no number",
            better="full",
            than="no camera branch",
            label="camera",
        ),
    ),
)
