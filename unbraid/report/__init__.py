"""Results, leakage, checks and pictures as one self-contained HTML page with its numbers as JSON beside it."""

from unbraid.report.evidence import Check, Evidence, facts
from unbraid.report.pictures import cmc_picture, leakage_picture, scatter_pictures, strip_pictures
from unbraid.report.write import report

__all__ = [
    "Check",
    "Evidence",
    "cmc_picture",
    "facts",
    "leakage_picture",
    "report",
    "scatter_pictures",
    "strip_pictures",
]
