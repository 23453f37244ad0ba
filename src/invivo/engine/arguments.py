"""What a module is called with: tensors, in tuples, lists and dicts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same, each tensor changed; what is no tensor and holds none stays."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple | list):
        found = [mapped(one, change) for one in value]
        return found if isinstance(value, list) else tuple(found)
    if isinstance(value, dict):
        return {name: mapped(one, change) for name, one in value.items()}
    return value


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in it."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from tensors(one)
