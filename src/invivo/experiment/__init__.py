"""Experiments and their results: plain data, no engine, no screen."""

from __future__ import annotations

from .case import Case
from .comparison import Candidate, Comparison, Run, TweakRun
from .lab import Claim, Lab, LabResult, Verdict
from .plan import Experiment
from .recipe import read_yaml
from .sweep import Axis, Grid, Sweep

__all__ = [
    "Axis",
    "Candidate",
    "Case",
    "Claim",
    "Comparison",
    "Experiment",
    "Grid",
    "Lab",
    "LabResult",
    "Run",
    "Sweep",
    "TweakRun",
    "Verdict",
    "read_yaml",
]
