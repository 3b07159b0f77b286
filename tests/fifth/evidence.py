"""What the built-in world is asked about the outside method."""

from unbraid.evidence import Claim, Evidence

EVIDENCE = Evidence(
    kind="clothes",
    rows={"full": "tiny", "half": "half"},
    headlines=("full",),
    protocols=("camera-change@1", "clothes-change@1"),
    labels=("identity", "camera"),
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
