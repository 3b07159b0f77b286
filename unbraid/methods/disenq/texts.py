"""Which texts each query group sees with a training batch."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from unbraid.batch import Batch, Text
from unbraid.methods.disenq.config import IDENTITY, DisenqConfig
from unbraid.nn.running import RunningText


class TrainingTexts(nn.Module):
    """The texts of a batch by query group: gathered, averaged per identity, mixed up and dropped as the config says.

    groups: those that see texts. identities: how many there are.
    """

    def __init__(self, config: DisenqConfig, groups: Sequence[str], identities: int) -> None:
        super().__init__()
        self.config = config
        self.wanted = {group: config.texts(group) for group in groups if config.texts(group)}
        self.aspects = tuple(dict.fromkeys(aspect for aspects in self.wanted.values() for aspect in aspects))
        if config.averaging != "offline" and IDENTITY in self.wanted:
            rate = config.momentum if config.averaging == "momentum" else None
            self.average = RunningText(identities, len(config.identity_texts), config.text_width, momentum=rate)

    def forward(self, batch: Batch) -> dict[str, Text]:
        """Texts by group, none for a batch without any.

        Averages go on, texts are mixed up and dropped in training mode alone; in eval mode the average is read.
        Raises ValueError for texts that are not there or do not fit the config.
        """
        if not batch.text:
            return {}
        found = {}
        for group, aspects in self.wanted.items():
            parts = [self._text(batch.text, aspect) for aspect in aspects]
            if group == IDENTITY and hasattr(self, "average"):
                parts = [self._averaged(parts, batch.labels[IDENTITY])]
            found[group] = Text(torch.cat([t.tokens for t in parts], 1), torch.cat([t.mask for t in parts], 1))
        if self.training and self.config.text_dropout:
            kept = torch.rand(len(batch), device=batch.clip.valid.device) >= self.config.text_dropout
            found = {group: Text(t.tokens, t.mask & kept[:, None]) for group, t in found.items()}
        return found

    def _text(self, texts: Mapping[str, Text], aspect: str) -> Text:
        if aspect not in texts:
            raise ValueError(f"disenq learns from texts about {aspect!r}, but the batch has {sorted(texts)}")
        text = texts[aspect]
        if text.tokens.shape[2] != self.config.text_width:
            raise ValueError(
                f"texts about {aspect!r} have vectors of {text.tokens.shape[2]} numbers and config.text_width is "
                f"{self.config.text_width}; set it to the width of the bank's encoder"
            )
        if self.training and aspect in self.config.random_texts:
            order = torch.randperm(len(text.mask), device=text.mask.device)
            return Text(text.tokens[order], text.mask[order])
        return text

    def _averaged(self, parts: Sequence[Text], identity: Tensor) -> Text:
        if self.training:
            means = [(t.tokens * t.mask[..., None]).sum(1) / t.mask.sum(1, keepdim=True).clamp_min(1) for t in parts]
            self.average.update(torch.stack(means, 1), torch.stack([t.mask.any(1) for t in parts], 1), identity)
        average: Text = self.average.read(identity)
        return average
