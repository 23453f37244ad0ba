"""A change inside the model for as long as a `with` block lasts; it comes off on every path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GPT2LMHeadModel


def layers_of(model: GPT2LMHeadModel) -> list[Any]:
    """The layers, first to last. Their types are lost in torch: a ModuleList holds Modules, and these anything."""
    return list(model.transformer.h)


@contextmanager
def changed_input(module: torch.nn.Module, change: Callable[[torch.Tensor], torch.Tensor | None]) -> Iterator[None]:
    """While inside, `module` is given `change` of its first input; where that is None, the input as it is."""

    def hook(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        new = change(inputs[0])
        return None if new is None else (new, *inputs[1:])

    handle = module.register_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()
