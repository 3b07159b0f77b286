"""What the built-in world is asked about DisenQ."""

from unbraid.evidence import Claim, Evidence

SAME, CROSS = "same-activity/view-@1", "cross-activity/view-@1"
BOTH = "cross-activity/clothes-change@1"
NTU = "ablation on NTU RGB-AB, rank-1, second-hand"

EVIDENCE = Evidence(
    kind="activity",
    rows={
        "full": "world",
        "no disentanglement": "world_none",
        "b + n": "world_appearance",
        "b + m": "world_motion",
        "random clothing texts": "world_random_clothing",
    },
    headlines=("full", "no disentanglement"),
    protocols=(CROSS, SAME, BOTH),
    labels=("identity", "action", "top_colour", "camera", "sex"),
    claims=(
        Claim(
            says="three groups recognise better than one",
            source=f"{NTU}: 82.2 against 74.2",
            better="full",
            than="no disentanglement",
            protocol=CROSS,
        ),
        Claim(
            says="motion helps beside biometrics and appearance",
            source=f"{NTU}: 82.2 against 76.6",
            better="full",
            than="b + n",
            protocol=CROSS,
        ),
        Claim(
            says="appearance taken out helps beside biometrics and motion",
            source=f"{NTU}: 82.2 against 79.2",
            better="full",
            than="b + m",
            protocol=CROSS,
        ),
        Claim(
            says="the same when clothes change too",
            source="not claimed; in the world clothes give people away unless they change",
            better="full",
            than="no disentanglement",
            protocol=BOTH,
        ),
        Claim(
            says="clothing texts of other clips cost points",
            source=f"{NTU}: 9.2 points",
            better="full",
            than="random clothing texts",
            protocol=CROSS,
        ),
        Claim(
            says="clothes leave the identity space",
            source="shown as pictures, no number",
            better="full",
            than="no disentanglement",
            label="top_colour",
        ),
    ),
)
