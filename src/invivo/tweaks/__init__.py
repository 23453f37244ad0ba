"""Everything that can be changed, one file a family. Importing this package registers every kind."""

from __future__ import annotations

from .activation import Activation, Add, Copy, Mean, Noise, Scale, Zero
from .base import LISTED_BY, Stack, Tweak, read_tweak
from .decoding import Decoding, DecodingTweak, LogitBias, SetGreedy, SetSeed, SetTemperature, SetTopK, SetTopP

__all__ = [
    "LISTED_BY",
    "Activation",
    "Add",
    "Copy",
    "Decoding",
    "DecodingTweak",
    "LogitBias",
    "Mean",
    "Noise",
    "Scale",
    "SetGreedy",
    "SetSeed",
    "SetTemperature",
    "SetTopK",
    "SetTopP",
    "Stack",
    "Tweak",
    "Zero",
    "read_tweak",
]
