"""Experiments and their results: plain data, no engine, no screen."""

from __future__ import annotations

from .case import Case
from .comparison import Candidate, Comparison, Run, TweakRun
from .lab import Lab, LabResult
from .plan import Experiment
from .recipe import Recipe, read_yaml
from .step import REAL, Claim, Step, StepResult, Verdict
from .sweep import Axis, Grid, Sweep

__all__ = [
    "REAL",
    "Axis",
    "Candidate",
    "Case",
    "Claim",
    "Comparison",
    "Experiment",
    "Grid",
    "Lab",
    "LabResult",
    "Recipe",
    "Run",
    "Step",
    "StepResult",
    "Sweep",
    "TweakRun",
    "Verdict",
    "read_yaml",
]
