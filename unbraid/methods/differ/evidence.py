"""What the built-in world is asked about DIFFER."""

from unbraid.data.benchmark import Benchmark
from unbraid.data.colour import colour_embeddings
from unbraid.evidence import Claim, Evidence
from unbraid.spaces import Embeddings

OTHER_CLOTHES, SAME_CLOTHES, ANY_CLOTHES = "clothes-change@1", "same-clothes@1", "camera-change@1"


def _colours(people: Benchmark, seed: int) -> tuple[Embeddings, Embeddings]:
    """What clothes look like, and no more."""
    query, gallery = (
        colour_embeddings(split, region="person", synthetic=people.synthetic)
        for split in (people.query, people.gallery)
    )
    return query, gallery


EVIDENCE = Evidence(
    kind="clothes",
    rows={
        "full": "world",
        "baseline": "world_baseline",
        "biometric texts alone": "world_biometric",
        "clothing texts alone": "world_clothing",
        "attributes, no text": "world_attributes",
        "silhouettes alone": "world_mask",
        "texts of other clips": "world_shuffled",
        "colours alone": "world_rgb",
        "colours alone, baseline": "world_rgb_baseline",
        "plain cosines, full reversal": "world_scale_1",
        "a third of the reversal": "world_alpha_01",
        "full reversal": "world_alpha_1",
        "full reversal, gated": "world_gated",
        "no frame loses its colours": "world_coloured",
        "no frame loses its colours, baseline": "world_coloured_baseline",
    },
    headlines=("full", "baseline"),
    sweeps=(
        "attributes, no text",
        "silhouettes alone",
        "colours alone",
        "colours alone, baseline",
        "plain cosines, full reversal",
        "a third of the reversal",
        "full reversal",
        "full reversal, gated",
        "no frame loses its colours",
        "no frame loses its colours, baseline",
    ),
    references={"colour histograms": _colours},
    protocols=(OTHER_CLOTHES, SAME_CLOTHES, ANY_CLOTHES),
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
            says="texts help in colours alone, on the image tower of the library's small CLIP",
            source="LTCC, stated gain in rank-1: 3.6",
            better="colours alone",
            than="colours alone, baseline",
            protocol=OTHER_CLOTHES,
        ),
        Claim(
            says="what texts say matters",
            source="not known here",
            better="full",
            than="texts of other clips",
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
