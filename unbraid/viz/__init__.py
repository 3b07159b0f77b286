"""Pictures of evidence: arrays in, one `Picture` (PNG bytes with title, caption and alternative text) out."""

from unbraid.viz.charts import Bar, cmc_curves, leakage_bars
from unbraid.viz.det import Det, det_curves
from unbraid.viz.frames import Shot, Strip, Verdict, frame_weights, heat_maps, ranked_strips
from unbraid.viz.projection import Projection, scatter
from unbraid.viz.style import Picture, Section

__all__ = [
    "Bar",
    "Det",
    "Picture",
    "Projection",
    "Section",
    "Shot",
    "Strip",
    "Verdict",
    "cmc_curves",
    "det_curves",
    "frame_weights",
    "heat_maps",
    "leakage_bars",
    "ranked_strips",
    "scatter",
]
