"""What the built-in world is asked about DIFFER."""

from unbraid.evidence import Claim, Evidence

OTHER_CLOTHES, SAME_CLOTHES = "clothes-change@1", "same-clothes@1"

EVIDENCE = Evidence(
    kind="clothes",
    rows={
        "full": "world",
        "baseline": "world_baseline",
        "biometric texts alone": "world_biometric",
        "clothing texts alone": "world_clothing",
        "attributes, no text": "world_attributes",
        "silhouettes alone": "world_mask",
    },
    headlines=("full", "baseline"),
    protocols=(OTHER_CLOTHES, SAME_CLOTHES),
    labels=("identity", "top_colour", "bottom_colour", "camera", "view", "sex"),
    claims=(
        Claim(
            says="texts help to find people in other clothes",
            source="LTCC, stated gain in rank-1: 3.6",
            better="full",
            than="baseline",
            protocol=OTHER_CLOTHES,
        ),
        Claim(
            says="texts do better than classifiers of clothes behind the same reversal",
            source="not claimed; what a claim for text must beat",
            better="full",
            than="attributes, no text",
            protocol=OTHER_CLOTHES,
        ),
        Claim(
            says="both kinds of text are needed, not biometric ones alone",
            source="the tables of ablations are not known here",
            better="full",
            than="biometric texts alone",
            protocol=OTHER_CLOTHES,
        ),
        Claim(
            says="both kinds of text are needed, not clothing ones alone",
            source="the tables of ablations are not known here",
            better="full",
            than="clothing texts alone",
            protocol=OTHER_CLOTHES,
        ),
        Claim(
            says="reversal takes the colour of the top out of the identity space",
            source="shown as attention maps, no number",
            better="full",
            than="baseline",
            label="top_colour",
        ),
    ),
)
