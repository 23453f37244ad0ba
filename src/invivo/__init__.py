"""invivo: experiments inside living language models. Change one thing, compare BASE with TWEAK, keep a takeaway.

    import invivo
    model = invivo.load()
    model.compare("Once upon a time", "zero head 3.5")

Public names are imported when they are used, so that importing the package loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.live import Model as Model
    from .engine.live import load as load
    from .errors import InvivoError as InvivoError
    from .experiment import Comparison as Comparison
    from .experiment import Experiment as Experiment
    from .experiment import Lab as Lab
    from .sites import Place as Place
    from .tweaks import Decoding as Decoding
    from .tweaks import Stack as Stack

__version__ = "0.1.0"

_HOMES = {
    "load": "engine.live",
    "Model": "engine.live",
    "InvivoError": "errors",
    "Comparison": "experiment",
    "Experiment": "experiment",
    "Lab": "experiment",
    "Place": "sites",
    "Decoding": "tweaks",
    "Stack": "tweaks",
}
__all__ = ["Comparison", "Decoding", "Experiment", "InvivoError", "Lab", "Model", "Place", "Stack", "load", "run"]


def run(experiment: Any) -> Any:
    """Load the model that an experiment names, and run it."""
    model = import_module("invivo.engine.live").load(
        experiment.model, dtype=experiment.dtype, revision=experiment.revision
    )
    return model.run(experiment)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"invivo.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'invivo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
