"""The trainer: from text to a model folder, with a checkpoint on the way, so that a killed run goes on where it was.

`invivo train` is its door for anyone's own text. What made fruitfly (`training/` in the repository) is the same trainer
with generated texts in the mix; this package knows nothing of those.
"""

from .. import model as model  # first: it sees to it that transformers starts light
