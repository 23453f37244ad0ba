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
    from .experiment import LabResult as LabResult
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
    "LabResult": "experiment",
    "Place": "sites",
    "Decoding": "tweaks",
    "Stack": "tweaks",
}
__all__ = [
    "Comparison",
    "Decoding",
    "Experiment",
    "InvivoError",
    "Lab",
    "LabResult",
    "Model",
    "Place",
    "Stack",
    "load",
    "run",
]


def run(
    what: Experiment | Lab | str,
    *,
    device: str | None = None,
    allow_pickle: bool = False,
    allow_remote_code: bool = False,
) -> Comparison | LabResult:
    """Load the model that an experiment or a lab (itself, its name `"02"`, or a file `"mine.py"`) names, and run it.

    An Experiment gives a Comparison and a lab a LabResult. Raises InvivoError, for a name that no lab has too.
    """
    from . import load
    from .experiment import Experiment, Lab

    if isinstance(what, str):
        what = import_module("invivo.labs.own").find(what)
    if not isinstance(what, Experiment | Lab):
        kind = type(what).__name__
        raise TypeError(f'an Experiment or a lab is needed, not {kind}: invivo.run("02"), invivo.run(Experiment.of(…))')
    plan = what.experiment if isinstance(what, Lab) else what
    model = load(
        plan.model,
        device=device,
        dtype=plan.dtype,
        revision=plan.revision,
        allow_pickle=allow_pickle,
        allow_remote_code=allow_remote_code,
    )
    return model.run_lab(what) if isinstance(what, Lab) else model.run(what)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"invivo.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'invivo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
