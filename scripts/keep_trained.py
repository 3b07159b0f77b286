"""Keep what three trained models of DIFFER know of fifty synthetic people: tests ask whether verdicts tell them apart.

    unbraid reproduce --out OUT --methods differ --rows full baseline "texts of other clips" --seeds 1
    python scripts/keep_trained.py --runs OUT

Writes tests/trained/: the identity space of query and gallery items in 16 bits, their labels, and where they are from.
"""

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from unbraid.experiment import Job, Setting
from unbraid.report.gather import join
from unbraid.reproduce import finished
from unbraid.spaces import Embeddings

ROWS = ("full", "baseline", "texts of other clips")
LABELS = ("key", "identity", "clothes", "camera", "top_colour")
PEOPLE = 50
HOME = Path(__file__).parents[1] / "tests" / "trained"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="OUT of `unbraid reproduce`")
    runs = parser.parse_args().runs
    spaces, origin = {}, {}
    for row in ROWS:
        job = Job("differ", row, 1, Setting())
        query, gallery = (Embeddings.load(runs / job.run / "embeddings" / side) for side in ("query", "gallery"))
        both = join(query, gallery)
        kept = both.table["identity"].isin(sorted(both.table["identity"].unique())[:PEOPLE]).to_numpy()
        table = both.table.loc[kept, list(LABELS)].reset_index(drop=True)
        spaces[row] = both.spaces["identity"][torch.tensor(kept.tolist())].half().contiguous()
        origin[row] = next(line["machine"] for line in finished(runs) if line["run"] == job.run) | job.key
    HOME.mkdir(exist_ok=True)
    save_file(spaces, HOME / "spaces.safetensors")
    table.to_parquet(HOME / "labels.parquet", index=False)
    (HOME / "origin.json").write_text(
        json.dumps({"synthetic": True, "rows": origin}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
