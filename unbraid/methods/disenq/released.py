"""The published weights that DisenQ starts from: InstructBLIP's vision tower and Q-Former, in one file or in several.

DisenQ's own weights are not published.
"""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from unbraid.methods.disenq.model import Disenq
from unbraid.methods.disenq.readers import QueryReader
from unbraid.nn.blip_vision import BlipTower, LoadedTower
from unbraid.nn.pretrained import WeightFiles
from unbraid.nn.qformer_weights import Loaded


def load_instructblip(method: Disenq, source: Path | Mapping[str, Tensor]) -> tuple[LoadedTower, Loaded]:
    """Fill tower and Q-Former; says what of the file was kept and dropped.

    source: a whole model as safetensors file, index of several (`model.safetensors.index.json`) or folder, of which
    only what is kept is read; or tensors by name. Names are those of transformers or of LAVIS.
    Raises FileNotFoundError; ValueError for a method with another trunk, and for a name, shape or gap that does not
    fit.

        method = build(find_recipe("disenq:ntu_ab"), classes)
        print(*load_instructblip(method, Path("instructblip-vicuna-7b")), sep="\\n")
    """
    if not isinstance(method.tower, BlipTower) or not isinstance(method.reader, QueryReader):
        raise ValueError(
            f"InstructBLIP's weights fit trunk 'instructblip' with a Q-Former, not trunk {method.config.trunk!r} with "
            f"reader {method.config.reader!r}"
        )
    tensors = WeightFiles(source) if isinstance(source, Path) else source
    values, report = method.tower.translated(tensors, str(source) if isinstance(source, Path) else "these weights")
    read = method.reader.load(tensors)
    method.tower.load_state_dict(values, strict=False)
    method.tower.loaded = report
    return report, read
