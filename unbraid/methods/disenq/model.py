"""DisenQ (Azad & Rawat, ICCV 2025): who someone is, whatever they do, with language as the only other teacher.

What is unusual here:
- three groups of learnt queries read the same clip through one Q-Former and do not see each other;
- in training each group also sees texts: about the body, the movement, the clothes;
- two people are compared by identity and motion together, in shares that a small gate decides for each clip;
- at test nothing but pixels is needed: the texts are gone, their keys with them.
The README beside this file maps the loss to code and lists what of it is stated, inferred and chosen.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from unbraid.batch import Batch, Clip
from unbraid.losses.labels import any_of, one_of, same_or_not
from unbraid.losses.metric import batch_hard_triplet, distances
from unbraid.losses.orthogonality import orthogonality
from unbraid.losses.precision import at_least_float32
from unbraid.method import TRUNK, Method, cosine
from unbraid.methods.disenq.config import APPEARANCE, IDENTITY, MOTION, DisenqConfig
from unbraid.methods.disenq.readers import PooledReader, QueryReader
from unbraid.methods.disenq.texts import TrainingTexts
from unbraid.nn.blip_vision import INSTRUCTBLIP, BlipTower
from unbraid.nn.frame_memory import FrameMemory
from unbraid.nn.gate import Sharing, SimilarityGate, gallery_vectors, query_vectors
from unbraid.nn.heads import NeckHead
from unbraid.nn.temporal import TemporalAttention
from unbraid.nn.vision import VisionTower, vision_tower
from unbraid.spaces import Spaces

# of the logit slope * (similarity - offset) by which pairs teach the gate; learnt from here on
FIRST_SLOPE, FIRST_OFFSET = 10.0, 0.5


class Disenq(Method):
    """DisenQ. Spaces: identity (behind the neck), motion and appearance, as far as their groups exist."""

    Config = DisenqConfig
    steps: Tensor

    def __init__(self, config: DisenqConfig, *, classes: Mapping[str, int]) -> None:
        super().__init__(config, classes=classes)
        weights, groups = config.weights, config.groups
        self.tells = weights.action > 0 and config.action_on in groups
        self.parts = weights.orthogonality > 0 and APPEARANCE in groups
        self.gates = config.compare == "adaptive"
        # groups that nothing teaches are not computed in training; motion is, where the gate learns from it
        self.taught = tuple(
            g for g in groups if g == IDENTITY or (g == APPEARANCE and self.parts) or (g == MOTION and self._moves())
        )
        self.spaces = groups
        self.supervision = (IDENTITY, *((config.action,) if self.tells else ()))
        self.texts = TrainingTexts(config, self.taught, self.number_of(IDENTITY))
        self.aspects = self.texts.aspects
        self.tower = _tower(config)
        self._freeze()
        self.memory = FrameMemory(self.tower, room=config.remembered * 2**20) if config.remembered else None
        self.pool = TemporalAttention(
            self.tower.width, kind=config.pooling, hidden=config.pooling_hidden, positions=config.positions
        )
        self.reader = (PooledReader if config.reader == "pooled" else QueryReader)(config, self.tower.width)
        self._silence()
        width = self.reader.width
        self.head = NeckHead(width, self.number_of(IDENTITY), neck=config.neck)
        if weights.identity == 0:
            self.head.classify.requires_grad_(False)
        if self.tells:
            self.act = nn.Linear(width, self.number_of(config.action))
        if self.gates:
            self.gate = SimilarityGate((width, width), hidden=config.gate_hidden)
            self.slope = nn.Parameter(torch.tensor(FIRST_SLOPE), requires_grad=weights.gate > 0)
            self.offset = nn.Parameter(torch.tensor(FIRST_OFFSET), requires_grad=weights.gate > 0)
            self.gate.requires_grad_(weights.gate > 0)
        if config.orthogonality_steps:
            self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Named outputs, first axis B: 'raw' before the neck, 'logits', 'actions', a feature per group under the
        group's name ('identity' behind the neck), and what the gate says of each clip.

        Texts are used where the batch has them, in eval mode as well, so that one can measure what they give away.
        """
        config = self.config
        tokens, real = self._clips(batch.clip)
        read = self.reader(tokens, real, text=self.texts(batch), groups=self.taught)
        features = {group: queries.mean(1) for group, queries in read.items()}
        normal, logits = self.head(features[IDENTITY])
        out = {"raw": features[IDENTITY], "logits": logits, **features, IDENTITY: normal}
        rows = len(normal)
        if self.tells:
            out["actions"] = self.act(features[config.action_on])
        if self.gates:
            # the gate must not change the features: the four terms of the paper stay what they are
            out["shares"] = self.gate([normal.detach(), features[MOTION].detach()])
            out["slope"], out["offset"] = self.slope.expand(rows), self.offset.expand(rows)
        if self.parts:
            out["strength"] = self._strength(normal).expand(rows)
        return {name: at_least_float32(value) for name, value in out.items()}

    def losses(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """The terms of the README's table, unweighted. Raises ValueError for action labels of the wrong kind."""
        config, identity = self.config, batch.labels[IDENTITY]
        near = out["raw"] if config.triplet_on == "raw" else F.normalize(out["raw"], dim=1)
        terms = {
            "identity": F.cross_entropy(out["logits"], identity, label_smoothing=config.smoothing),
            "triplet": batch_hard_triplet(distances(near), identity, margin=config.margin, lonely="skip"),
        }
        if self.parts:
            apart = orthogonality(out["raw"], out[APPEARANCE], config.orthogonality)
            terms["orthogonality"] = out["strength"].mean() * apart
        if self.tells:
            terms["action"] = self._told_action(out["actions"], batch)
        if self.gates:
            alike = self._weighted([out[IDENTITY].detach(), out[MOTION].detach()], out["shares"])
            logits = out["slope"].mean() * (alike - out["offset"].mean())
            terms["gate"] = same_or_not(logits, identity)
        return {name: value for name, value in terms.items() if getattr(config.weights, name) > 0}

    def monitor(self, out: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Shares of right identities and actions, the cosine that orthogonality works on, and identity's mean share."""
        found = {"accuracy/identity": (out["logits"].argmax(1) == batch.labels[IDENTITY]).float().mean()}
        if self.tells and not self.config.several_actions:
            found["accuracy/action"] = (out["actions"].argmax(1) == batch.labels[self.config.action]).float().mean()
        if self.parts:
            found["cosine/appearance"] = orthogonality(out["raw"].detach(), out[APPEARANCE].detach())
        if self.gates:
            found["share/identity"] = out["shares"][:, 0].detach().mean()
        return found

    def encode(self, clip: Clip) -> Spaces:
        """Features B D of the query groups, from pixels alone; not normalised.

        Memory is bounded by `chunk`: clips pass one after the other in parts of about as many frames.
        """
        return self.encode_only(clip, self.spaces)

    def encode_only(self, clip: Clip, names: Sequence[str]) -> Spaces:
        """As `encode`, without computing the other groups; to compare people, `matched` is enough."""
        lacking = [name for name in names if name not in (*self.spaces, TRUNK)]
        if lacking:
            raise KeyError(f"no space {lacking[0]!r}; there are {sorted((*self.spaces, TRUNK))}")
        asked = tuple(dict.fromkeys((IDENTITY, *names)))
        groups = tuple(name for name in asked if name != TRUNK)
        found: dict[str, list[Tensor]] = {group: [] for group in asked}
        for part in self._divided(clip):
            tokens, real = self._clips(part)
            if TRUNK in asked:
                found[TRUNK].append(_mean(tokens, real))
            for group, queries in self.reader(tokens, real, groups=groups).items():
                feature = queries.mean(1)
                found[group].append(at_least_float32(self.head.normalise(feature) if group == IDENTITY else feature))
        return Spaces({group: torch.cat(rows) for group, rows in found.items()})

    def raw(self, clip: Clip) -> Float[Tensor, "B V"]:
        """The mean over a clip's tokens, as the query groups get them."""
        return torch.cat([_mean(*self._clips(part)) for part in self._divided(clip)])

    @property
    def matched(self) -> tuple[str, ...]:
        """The spaces that `similarity` reads."""
        compare = self.config.compare
        return (IDENTITY, MOTION) if compare in ("adaptive", "fixed") else (compare,)

    def similarity(self, query: Spaces, gallery: Spaces) -> Float[Tensor, "Q G"]:
        """Cosines of identity and of motion, weighted; or of a single space, as `compare` says."""
        if self.config.compare == IDENTITY:
            return cosine(query, gallery)
        return self.query_vectors(query) @ self.gallery_vectors(gallery).T

    def query_vectors(self, spaces: Spaces) -> Float[Tensor, "Q D"]:
        """Vectors whose inner products with `gallery_vectors` are the similarity: what a plain index is asked for."""
        aspects, shares = self._shares(spaces)
        return query_vectors(aspects, shares, self._sharing)

    def gallery_vectors(self, spaces: Spaces) -> Float[Tensor, "G D"]:
        """What a plain index of inner products holds; see `query_vectors`."""
        aspects, shares = self._shares(spaces)
        return gallery_vectors(aspects, shares, self._sharing)

    def heat(self, clip: Clip) -> dict[str, Float[Tensor, "B T h w"]]:
        """How much each group looks at each patch of each frame in its last cross-attention; sums to at most 1 a clip.

        What the class token gets is left out; what a whole frame gets, where the clip keeps time, is spread evenly.
        Not in the paper.
        """
        height, width = self.tower.grid(*clip.frames.shape[3:])
        maps = {}
        for group, (cells, frames) in self._looked(clip, self.spaces).items():
            patches = cells[:, :, self.tower.prefix :] + frames[..., None] / (height * width)
            maps[group] = patches.unflatten(2, (height, width))
        return maps

    def frame_weights(self, clip: Clip) -> Float[Tensor, "B T"]:
        """How much of what the identity group looks at is in each frame."""
        cells, frames = self._looked(clip, (IDENTITY,))[IDENTITY]
        total = cells.sum(2) + frames
        return total / total.sum(1, keepdim=True)

    def train(self, mode: bool = True) -> "Disenq":
        """As every module; a trunk that does not learn as a whole stays in eval mode."""
        super().train(mode)
        if self.config.tuned != -1:
            self.tower.eval()
        return self

    def _moves(self) -> bool:
        return self.gates or (self.tells and self.config.action_on == MOTION)

    def _freeze(self) -> None:
        """Stop the gradient of all of the trunk but its last blocks."""
        config, net = self.config, self.tower.net
        if config.tuned == -1:
            return
        self.tower.requires_grad_(False)
        blocks = net.blocks if hasattr(net, "blocks") else net.transformer.resblocks
        if config.tuned > len(blocks):
            raise ValueError(f"tuned = {config.tuned}, but trunk {config.trunk!r} has {len(blocks)} blocks; -1 is all")
        for part in (*blocks[len(blocks) - config.tuned :], getattr(net, self.tower.last)) if config.tuned else ():
            part.requires_grad_(True)
        if config.trunk_precision == "bfloat16":
            self.tower.to(torch.bfloat16)

    def _silence(self) -> None:
        """Stop the gradient of parts that nothing teaches; several devices wait for every part that has one."""
        weights = self.config.weights
        if not self.aspects:
            for parameter in self.reader.text_parts():
                parameter.requires_grad_(False)
        if isinstance(self.reader, QueryReader):
            reached = {
                IDENTITY: weights.identity + weights.triplet > 0,
                MOTION: self.tells and self.config.action_on == MOTION,
                APPEARANCE: self.parts,
            }
            for group in self.config.groups:
                self.reader.queries_of(group).requires_grad_(reached[group])

    def _divided(self, clip: Clip) -> Iterator[Clip]:
        """Parts of a batch of clips, of `chunk` frames or of one clip."""
        size = max(1, self.config.chunk // clip.frames.shape[1])
        for start in range(0, len(clip.frames), size):
            yield Clip(clip.frames[start : start + size], clip.valid[start : start + size])

    def _seen(self, clip: Clip) -> Float[Tensor, "B T L V"]:
        """Tokens of every frame."""
        frames = clip.frames.flatten(0, 1)
        if self.config.trunk_precision == "bfloat16":
            frames = frames.to(torch.bfloat16)
        learns = self.config.tuned != 0 and torch.is_grad_enabled()
        read = self.memory.read if self.memory and self.training else self.tower
        with torch.set_grad_enabled(learns):
            tokens = torch.cat([read(part) for part in frames.split(self.config.chunk)])
        seen: Tensor = at_least_float32(tokens).unflatten(0, clip.frames.shape[:2])
        return seen

    def _clips(self, clip: Clip) -> tuple[Float[Tensor, "B K V"], Bool[Tensor, "B K"] | None]:
        """Tokens of clips, and which are real."""
        return _joined([self.pool(self._seen(part), part.valid) for part in self._divided(clip)])

    def _looked(self, clip: Clip, groups: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
        """Of each group's attention what is on the tokens of each frame, B T L, and on whole frames, B T."""
        pooled, weights = [], []
        for part in self._divided(clip):
            seen = self._seen(part)
            pooled.append(self.pool(seen, part.valid))
            weights.append(self.pool.weights(seen, part.valid))
        (tokens, real), shares = _joined(pooled), torch.cat(weights)
        frames = clip.frames.shape[1] if self.config.pooling in ("frames", "both") else 0
        height, width = self.tower.grid(*clip.frames.shape[3:])
        found = {}
        for group, look in self.reader.attention(tokens, real, groups=groups).items():
            cells, whole = look[:, : look.shape[1] - frames], look[:, look.shape[1] - frames :]
            if not frames:
                whole = look.new_zeros(clip.valid.shape)
            if not cells.shape[1]:
                cells = look.new_zeros(len(look), self.tower.prefix + height * width)
            found[group] = (shares * cells[:, None], whole)
        return found

    def _told_action(self, logits: Tensor, batch: Batch) -> Float[Tensor, ""]:
        config, label = self.config, batch.labels[self.config.action]
        if label.ndim != 1 + config.several_actions:
            raise ValueError(
                f"label {config.action!r} has shape {tuple(label.shape)}; with several_actions = "
                f"{config.several_actions} expected {'one row per clip' if config.several_actions else 'a class each'}"
            )
        return any_of(logits, label) if config.several_actions else one_of(logits, label)

    def _strength(self, like: Tensor) -> Tensor:
        """How much of its weight the orthogonality term has, counted in a buffer so that a resumed run goes on."""
        steps = self.config.orthogonality_steps
        if not steps:
            return like.new_ones(())
        if self.training:
            self.steps += 1
        strength: Tensor = (self.steps / steps).clamp_max(1).to(like.dtype)
        return strength

    @property
    def _sharing(self) -> Sharing:
        # with equal shares on both sides the two means are one, and the shorter vectors do
        return self.config.gate_sharing if self.gates else "geometric"

    def _weighted(self, aspects: Sequence[Tensor], shares: Tensor) -> Float[Tensor, "B B"]:
        how = self._sharing
        return query_vectors(aspects, shares, how) @ gallery_vectors(aspects, shares, how).T

    def _shares(self, spaces: Spaces) -> tuple[list[Tensor], Tensor]:
        """The features that are compared, and how much each counts for each item."""
        config = self.config
        if config.compare in self.config.groups:
            return [spaces[config.compare]], torch.ones(spaces.rows, 1, device=spaces[config.compare].device)
        aspects = [spaces[IDENTITY].float(), spaces[MOTION].float()]
        if not self.gates:
            fixed = torch.tensor([config.share, 1 - config.share], device=aspects[0].device)
            return aspects, fixed.expand(spaces.rows, 2)
        where = self.gate.outer.weight.device
        shares: Tensor = self.gate([aspect.to(where) for aspect in aspects])
        return aspects, shares.to(aspects[0].device)


def _joined(parts: Sequence[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    """One batch of clips from its parts: tokens, and which are real."""
    masks = [mask for _, mask in parts if mask is not None]
    return torch.cat([tokens for tokens, _ in parts]), torch.cat(masks) if masks else None


def _mean(tokens: Float[Tensor, "B K V"], real: Bool[Tensor, "B K"] | None) -> Float[Tensor, "B V"]:
    """Over the real tokens."""
    tokens = at_least_float32(tokens)
    if real is None:
        return tokens.mean(1)
    return (tokens * real[..., None]).sum(1) / real.sum(1, keepdim=True)


def _tower(config: DisenqConfig) -> VisionTower:
    if config.trunk == INSTRUCTBLIP:
        return BlipTower(pretrained=config.pretrained)
    return vision_tower(config.trunk, pretrained=config.pretrained)
