"""What the built-in world is asked about DSANet."""

from unbraid.evidence import Claim, Evidence

CAMERA_CHANGE = "camera-change@1"
LS_VID = "Table 2, LS-VID, one clip per tracklet, rank-1"

EVIDENCE = Evidence(
    kind="video",
    rows={
        "full": "world",
        "baseline": "world_baseline",
        "no camera branch": "world_no_camera",
        "no switching": "world_no_switching",
        "no localising": "world_no_localising",
        "no frame weights": "world_no_weighing",
    },
    headlines=("full", "baseline"),
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
