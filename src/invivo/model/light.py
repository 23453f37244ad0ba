"""Importing transformers without torchao, which it would load at every start where that happens to be installed.

transformers takes one function from torchao while it is imported, for saving what torchao quantized: a second and a
half, and a page of warnings, for people who quantize nothing. Here that import waits until the function is called.
Importing this module does it; it has to come before the first model class is imported.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

TAKER = "transformers.quantizers.quantizer_torchao"


def _flatten(*args: Any, **kwargs: Any) -> Any:
    """torchao's own function, imported now."""
    support: Any = import_module("torchao.prototype.safetensors.safetensors_support")
    return support.flatten_tensor_state_dict(*args, **kwargs)


def _import_it() -> None:
    utils: Any = import_module("transformers.utils")
    real = utils.is_torchao_available
    utils.is_torchao_available = lambda *args, **kwargs: False
    try:
        taker: Any = import_module(TAKER)
    finally:
        utils.is_torchao_available = real
    taker.is_torchao_available = real
    if not hasattr(taker, "flatten_tensor_state_dict"):
        taker.flatten_tensor_state_dict = _flatten


if TAKER not in sys.modules:
    _import_it()
