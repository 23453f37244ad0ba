"""Dice: fair, and a function of seed and counters alone."""

import math

import torch

from invivo.engine import dice


def test_uniform_numbers_are_uniform_and_independent():
    u = dice.uniform(7, torch.arange(400)[:, None], torch.arange(500))
    assert u.min() > 0
    assert u.max() < 1
    ordered = u.flatten().sort().values
    gap = (ordered - torch.linspace(0, 1, ordered.numel(), dtype=torch.float64)).abs().max()
    assert gap < 1.63 / math.sqrt(ordered.numel())  # Kolmogorov-Smirnov at 1 %
    for other in (u.roll(1, 0), u.roll(1, 1), dice.uniform(8, torch.arange(400)[:, None], torch.arange(500))):
        assert abs(float(torch.corrcoef(torch.stack([u.flatten(), other.flatten()]))[0, 1])) < 0.01


def test_normal_numbers_are_normal():
    x = dice.normal(1, torch.arange(200_000))
    assert abs(x.mean()) < 0.01
    assert abs(x.std() - 1) < 0.01
    assert abs((x**4).mean() - 3) < 0.1


def test_numbers_do_not_depend_on_what_else_is_drawn():
    whole = dice.normal(3, 11, torch.arange(10)[:, None], torch.arange(6))
    part = dice.normal(3, 11, torch.tensor([[7]]), torch.tensor([2, 5]))
    assert torch.equal(whole[7, [2, 5]], part[0])
    assert not torch.equal(dice.normal(4, 11, torch.tensor([[7]]), torch.tensor([2, 5])), part)
    assert not torch.equal(dice.normal(3, 12, torch.tensor([[7]]), torch.tensor([2, 5])), part)


def test_gumbel_noise_samples_from_the_distribution():
    p = torch.tensor([0.5, 0.3, 0.15, 0.05], dtype=torch.float64)
    picks = torch.tensor([int((p.log() + dice.gumbel(0, step, 4)).argmax()) for step in range(4000)])
    shares = torch.bincount(picks, minlength=4) / 4000
    assert (shares - p).abs().max() < 3.5 * math.sqrt(0.25 / 4000)
    assert dice.gumbel(0, 5, 4).tolist() != dice.gumbel(1, 5, 4).tolist()


def test_large_seeds_differ():
    assert dice.uniform(2**33, 1).item() != dice.uniform(0, 1).item()
    assert dice.uniform(2**33 + 1, 1).item() != dice.uniform(1, 1).item()
