"""Classification heads."""

from jaxtyping import Float
from torch import Tensor, nn


class NeckHead(nn.Module):
    """Batch normalisation with its bias frozen at 0, then a bias-free linear classifier (the "BNNeck").

    neck=False leaves the plain linear layer with bias.
    forward returns the vector that the classifier sees and its logits; leading axes are kept.
    Source: Luo et al., "Bag of Tricks" (2019), section 3.5; DSANet is silent, see its README.
    """

    def __init__(self, width: int, classes: int, *, neck: bool) -> None:
        super().__init__()
        self.neck: nn.Module = nn.Identity()
        if neck:
            self.neck = nn.BatchNorm1d(width)
            self.neck.bias.requires_grad_(False)
        self.classify = nn.Linear(width, classes, bias=not neck)
        if neck:
            nn.init.normal_(self.classify.weight, std=0.001)

    def normalise(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """The vector after the neck."""
        normal: Tensor = self.neck(x.flatten(0, -2))
        return normal.view(x.shape)

    def forward(self, x: Float[Tensor, "... D"]) -> tuple[Float[Tensor, "... D"], Float[Tensor, "... N"]]:
        normal = self.normalise(x)
        return normal, self.classify(normal)
