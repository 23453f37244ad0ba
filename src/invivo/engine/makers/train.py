"""`train N steps on "text"`: a copy of the model, trained further on it."""

from __future__ import annotations

from ...tweaks.training import Train
from . import Maker
from ._train import make

MAKER = Maker(Train, make)
