"""The engine: forward passes that are watched and changed, decoding with the same dice, and comparison."""

from .. import model as model  # first: it sees to it that transformers starts light
