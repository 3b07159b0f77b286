"""The running average of texts: one pass is the offline mean, however the clips come."""

import torch
import torch.nn.functional as F

from unbraid.nn.running import RunningText
from unbraid.text.bank import TextBank

N, S, E = 24, 2, 5


def texts() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    present = torch.rand(N, S, generator=chance) > 0.2
    return torch.randn(N, S, E, generator=chance), present, torch.arange(N) % 4


def test_one_pass_is_the_offline_mean() -> None:
    x, present, identity = texts()
    for order in (torch.arange(N), torch.randperm(N, generator=torch.Generator().manual_seed(1))):
        for size in (1, 5, N):
            average = RunningText(4, S, E)
            for part in order.split(size):
                average.update(x[part], present[part], identity[part])
            found = average.read(torch.arange(4))
            for who in range(4):
                for slot in range(S):
                    rows = [F.normalize(x[n, slot], dim=0) for n in range(N) if n % 4 == who and present[n, slot]]
                    want = F.normalize(torch.stack(rows).mean(0), dim=0)
                    torch.testing.assert_close(found.tokens[who, slot], want)
            assert found.mask.all()


def test_it_is_the_mean_of_a_bank() -> None:
    # tokens of several words each, as an encoder of sequences gives them
    lengths = [1 + n % 3 for n in range(N)]
    starts = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()])
    vectors = torch.randn(int(starts[-1]), E, generator=torch.Generator().manual_seed(0))
    bank = TextBank("stub", {}, {"biometric": {str(n): n for n in range(N)}}, vectors, starts)
    offline = bank.mean_over("biometric", {str(n): str(n % 4) for n in range(N)}).text("biometric", list("0123"))
    average = RunningText(4, 1, E)
    text = bank.text("biometric", [str(n) for n in range(N)])
    pooled = (text.tokens * text.mask[..., None]).sum(1) / text.mask.sum(1, keepdim=True)
    average.update(pooled[:, None], torch.ones(N, 1, dtype=torch.bool), torch.arange(N) % 4)
    torch.testing.assert_close(average.read(torch.arange(4)).tokens, offline.tokens)


def test_a_fixed_rate() -> None:
    average = RunningText(2, 1, 2, momentum=0.25)
    for vector in ([2.0, 0.0], [0.0, 3.0], [0.0, 1.0]):
        average.update(torch.tensor([[vector]]), torch.ones(1, 1, dtype=torch.bool), torch.tensor([1]))
    # (1, 0), then 3/4 (1, 0) + 1/4 (0, 1), then 3/4 of that + 1/4 (0, 1)
    torch.testing.assert_close(average.mean[1, 0], torch.tensor([9 / 16, 7 / 16]))
    assert not average.read(torch.tensor([0])).mask.any()
    assert average.read(torch.tensor([0])).tokens.abs().sum() == 0
