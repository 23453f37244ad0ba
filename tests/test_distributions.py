"""Shortcuts over a vocabulary, each beside torch's own function: the slow twin."""

from __future__ import annotations

import pytest
import torch

from invivo.engine import distributions


def test_log_probabilities_by_way_of_softmax(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fast way and its slow twin: flat, peaked, shifted, and with tokens that are never said."""
    logits = torch.randn(6, 5_000, generator=torch.Generator().manual_seed(0))
    logits[1] *= 40
    logits[2] += 900
    logits[3, ::3] = -torch.inf
    logits[4] = 7.0
    logits[5, 17] = 300
    fast, probs = distributions.spread(logits)
    monkeypatch.setenv("INVIVO_EXACT", "1")
    slow, _ = distributions.spread(logits)
    assert not torch.equal(fast, slow)
    torch.testing.assert_close(fast, slow, rtol=1e-6, atol=3e-6)
    torch.testing.assert_close(probs, logits.double().softmax(-1).float(), rtol=1e-4, atol=1e-9)


def test_large_logits_keep_their_small_differences() -> None:
    logits = torch.randn(8, 2_000, generator=torch.Generator().manual_seed(1)) + 10_000
    fast, _ = distributions.spread(logits)
    torch.testing.assert_close(fast, logits.double().log_softmax(-1).float(), rtol=0, atol=5e-6)


@pytest.mark.parametrize(("count", "top"), [(50, 5), (260, 5), (64, 1), (1000, 3), (1000, 15), (1023, 7), (4096, 64)])
def test_the_likeliest_are_the_largest(count: int, top: int) -> None:
    dice = torch.Generator().manual_seed(count)
    for scores in (torch.randn(9, count, generator=dice), torch.randint(0, 9, (9, count), generator=dice).float()):
        values, places = distributions.likeliest(scores, top)
        assert torch.equal(values, scores.topk(top).values)
        assert torch.equal(scores.gather(1, places), values)
        assert all(len(set(row)) == top for row in places.tolist())
    assert distributions.likeliest(torch.randn(2, 3), 5)[0].shape == (2, 3)


@pytest.mark.parametrize("count", [1, 255, 511, 512, 513, 700, 1024, 8192, 50_257])
def test_the_peak_is_the_first_of_the_largest(count: int) -> None:
    dice = torch.Generator().manual_seed(count)
    for shape in ((7, count), (3, 2, count)):
        drawn = torch.randn(shape, generator=dice)
        last = drawn.index_fill(-1, torch.tensor([count - 1]), 99.0)
        for scores in (drawn, last, drawn.round(), torch.zeros(shape), drawn.masked_fill(drawn < 2, -torch.inf)):
            assert torch.equal(distributions.peak(scores), scores.argmax(-1, keepdim=True))
        drawn[0, ..., count // 2] = torch.nan
        assert torch.equal(distributions.peak(drawn), drawn.argmax(-1, keepdim=True))


def test_entropy_and_divergence_count_what_is_never_said_as_nothing() -> None:
    base = torch.tensor([0.5, 0.5, 0.0]).log()
    tweak = torch.tensor([0.25, 0.25, 0.5]).log()
    assert float(distributions.entropy(base)) == pytest.approx(0.6931, abs=1e-4)
    assert float(distributions.divergence(base, tweak, base.exp())) == pytest.approx(0.6931, abs=1e-4)
    assert float(distributions.divergence(tweak, base, tweak.exp())) == float("inf")
