"""What the built-in world is asked about TCFDNet."""

from unbraid.data.benchmark import Benchmark
from unbraid.data.mean_images import lda_embeddings, mean_image_embeddings
from unbraid.evidence import Claim, Evidence
from unbraid.spaces import Embeddings

CAMERA_IN_LIDAR, LIDAR_IN_CAMERA = "gait/silhouette-in-depth/all@1", "gait/depth-in-silhouette/all@1"
CAMERA_ALONE, LIDAR_ALONE = "gait/silhouette-in-silhouette/all@1", "gait/depth-in-depth/all@1"
SUSTECH = 'ablation on SUSTech1K called "LiDAR to camera" (which side probes is doubtful), rank-1, rows reconstructed'


def _mean_images(people: Benchmark, seed: int) -> tuple[Embeddings, Embeddings]:
    """Nothing in them is drawn."""
    return mean_image_embeddings(people)


def _claims(length: str, words: str) -> tuple[Claim, ...]:
    """What is claimed, of rows of one length."""
    return (
        Claim(
            says=f"subtracting what is particular to a sensor helps{words}",
            source=f"{SUSTECH}: 61.7 against 58.9 or 59.8, notes disagree",
            better=f"full{length}",
            than=f"no TFD{length}",
            protocol=LIDAR_IN_CAMERA,
        ),
        Claim(
            says=f"texts are better prototypes than learned ones{words}",
            source=f"{SUSTECH}: 61.7 against 56.2; what stood in their place is unknown",
            better=f"full{length}",
            than=f"no GMTD{length}",
            protocol=LIDAR_IN_CAMERA,
        ),
        Claim(
            says=f"the whole network is better than two plain streams{words}",
            source="not in its tables",
            better=f"full{length}",
            than=f"two streams{length}",
            protocol=LIDAR_IN_CAMERA,
        ),
        Claim(
            says=f"the sensor leaves the identity space{words}",
            source="its aim; a t-SNE picture shows tighter clusters than other methods', no number",
            better=f"full{length}",
            than=f"no TFD{length}",
            label="modality",
        ),
    )


EVIDENCE = Evidence(
    kind="gait",
    rows={
        "full": "world",
        "two streams": "world_baseline",
        "no GMTD": "world_no_gmtd",
        "no TFD": "world_no_tfd",
        "sharp shares, open gate": "world_sharp",
        "full, long": "world_long",
        "two streams, long": "world_long_baseline",
        "no GMTD, long": "world_long_no_gmtd",
        "no TFD, long": "world_long_no_tfd",
    },
    headlines=("full", "two streams"),
    sweeps=("sharp shares, open gate", "full, long", "two streams, long", "no GMTD, long", "no TFD, long"),
    packaged="full, long",
    references={"mean images": _mean_images, "LDA": lda_embeddings},
    protocols=(LIDAR_IN_CAMERA, CAMERA_IN_LIDAR, CAMERA_ALONE, LIDAR_ALONE),
    labels=("identity", "modality", "view", "condition", "sex"),
    by=("condition", "view"),
    claims=(*_claims(", long", ""), *_claims("", ", after a quarter of the steps")),
)
