"""What is attached to a model and is not of its making: hooks, stand-ins, visitors. Between runs none of it is ours."""

from __future__ import annotations

from contextlib import suppress

from ..model import attention
from .living import Living


def leftovers(living: Living) -> set[str]:
    """Whatever is attached to a model and is not of its making, by name. The user's own hooks are among it."""
    found = set()
    for name, module in living.hf.named_modules():
        where = name or "the model"
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            found |= {f"{kind.strip('_').replace('_', ' ')[:-1]} {key} on {where}" for key in getattr(module, kind)}
        found |= {f"a stand-in for {f} on {where}" for f in ("forward", "generate") if f in vars(module)}
    if (attends := living.hf.config._attn_implementation) != attention.NAME:
        found.add(f"attention by {attends}")
    return found


def still_looking(living: Living) -> set[str]:
    """Attention modules that somebody looks into, or that are given earlier keys and values: none between runs."""
    found = set()
    with suppress(RuntimeError):  # another model's entry went away meanwhile
        for name, module in living.hf.named_modules():
            found |= {f"a visitor in {name}"} if module in attention.VISITORS else set()
            found |= {f"a prefix in {name}"} if module in attention.PREFIXES else set()
    return found
