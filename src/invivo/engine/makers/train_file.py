"""`train N steps on FILE`: a copy of the model, trained further on the file's text."""

from __future__ import annotations

from ...tweaks.training import TrainFile
from . import Maker
from ._train import make

MAKER = Maker(TrainFile, make)
