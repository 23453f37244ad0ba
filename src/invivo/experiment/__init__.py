"""Experiments and their results: plain data, no engine, no screen."""

from __future__ import annotations

from .comparison import Candidate, Comparison, Run, TweakRun
from .lab import Claim, Lab, LabResult, Verdict
from .plan import Experiment, read_yaml

__all__ = [
    "Candidate",
    "Claim",
    "Comparison",
    "Experiment",
    "Lab",
    "LabResult",
    "Run",
    "TweakRun",
    "Verdict",
    "read_yaml",
]
