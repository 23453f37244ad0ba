"""Another forward for a module, for a while."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from torch import nn


def swap(stack: ExitStack, module: nn.Module, forward: Any) -> None:
    """Give a module another forward until the stack is left."""
    had = vars(module).get("forward")
    module.forward = forward
    if had is None:
        stack.callback(vars(module).pop, "forward")
    else:
        stack.callback(setattr, module, "forward", had)
