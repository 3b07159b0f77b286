"""The head with and without its batch normalisation."""

import pytest
import torch

from unbraid.nn.heads import NeckHead


def test_neck_normalises_with_batch_statistics() -> None:
    head = NeckHead(3, 5, neck=True).train()
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    centred = x.double() - x.double().mean(0)
    expected = centred / (centred.square().mean(0) + 1e-5).sqrt()
    normal, logits = head(x)
    torch.testing.assert_close(normal.double(), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(logits.double(), expected @ head.classify.weight.double().T, rtol=1e-4, atol=1e-6)


def test_neck_trains_its_scale_only() -> None:
    head = NeckHead(3, 5, neck=True)
    assert {n for n, p in head.named_parameters() if p.requires_grad} == {"neck.weight", "classify.weight"}
    assert head.neck.bias is not None
    assert (head.neck.bias == 0).all()
    assert head.classify.bias is None


def test_classifier_starts_small() -> None:
    torch.manual_seed(0)
    assert NeckHead(256, 400, neck=True).classify.weight.std().item() == pytest.approx(0.001, rel=0.02)


def test_without_neck_it_is_a_linear_layer() -> None:
    head = NeckHead(3, 5, neck=False)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    normal, logits = head(x)
    assert torch.equal(normal, x)
    torch.testing.assert_close(logits, x @ head.classify.weight.T + head.classify.bias)


@pytest.mark.parametrize("neck", [True, False])
def test_leading_axes_are_rows(neck: bool) -> None:
    head = NeckHead(3, 5, neck=neck).train()
    x = torch.randn(4, 2, 6, 3, generator=torch.Generator().manual_seed(0))
    normal, logits = head(x)
    flat_normal, flat_logits = head(x.reshape(-1, 3))
    assert logits.shape == (4, 2, 6, 5)
    torch.testing.assert_close(normal.reshape(-1, 3), flat_normal)
    torch.testing.assert_close(logits.reshape(-1, 5), flat_logits)
