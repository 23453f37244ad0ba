"""The engine: forward passes that are watched and changed, decoding with the same dice, and comparison."""

from ..model import light as light  # first: it sees to it that transformers starts light
