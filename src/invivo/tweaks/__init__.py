"""Everything that can be changed, one file a family. Importing this package registers every kind."""

from __future__ import annotations

from .activation import Activation, Add, AddSd, Copy, Mean, Noise, RelativeNoise, Scale, Zero
from .adapters import Adapt, AdaptTo
from .base import LISTED_BY, Stack, Tweak, read_tweak
from .decoding import Decoding, DecodingTweak, LogitBias, SetBeams, SetGreedy, SetSeed, SetTemperature, SetTopK, SetTopP
from .model import ModelTweak, Prune, Quantize
from .paths import Receiver, Send
from .positions import Boost, Positional, Sinusoids
from .prompt import Append, Prepend, PrependFile, PromptTweak, Replace, Wrap
from .retrieve import Retrieve
from .steering import Directed, Project, Steer
from .training import Reset, Train, TrainFile, Training

__all__ = [
    "LISTED_BY",
    "Activation",
    "Adapt",
    "AdaptTo",
    "Add",
    "AddSd",
    "Append",
    "Boost",
    "Copy",
    "Decoding",
    "DecodingTweak",
    "Directed",
    "LogitBias",
    "Mean",
    "ModelTweak",
    "Noise",
    "Positional",
    "Prepend",
    "PrependFile",
    "Project",
    "PromptTweak",
    "Prune",
    "Quantize",
    "Receiver",
    "RelativeNoise",
    "Replace",
    "Reset",
    "Retrieve",
    "Scale",
    "Send",
    "SetBeams",
    "SetGreedy",
    "SetSeed",
    "SetTemperature",
    "SetTopK",
    "SetTopP",
    "Sinusoids",
    "Stack",
    "Steer",
    "Train",
    "TrainFile",
    "Training",
    "Tweak",
    "Wrap",
    "Zero",
    "read_tweak",
]
