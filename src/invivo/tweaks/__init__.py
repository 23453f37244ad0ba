"""Everything that can be changed, one file a family. Importing this package registers every kind."""

from __future__ import annotations

from .activation import Activation, Add, Copy, Mean, Noise, Scale, Zero
from .base import LISTED_BY, Stack, Tweak, read_tweak
from .decoding import Decoding, DecodingTweak, LogitBias, SetGreedy, SetSeed, SetTemperature, SetTopK, SetTopP
from .paths import Receiver, Send
from .steering import Directed, Project, Steer

__all__ = [
    "LISTED_BY",
    "Activation",
    "Add",
    "Copy",
    "Decoding",
    "DecodingTweak",
    "Directed",
    "LogitBias",
    "Mean",
    "Noise",
    "Project",
    "Receiver",
    "Scale",
    "Send",
    "SetGreedy",
    "SetSeed",
    "SetTemperature",
    "SetTopK",
    "SetTopP",
    "Stack",
    "Steer",
    "Tweak",
    "Zero",
    "read_tweak",
]
