"""Models: loading them safely, finding their parts by structure, and a door into their attention."""

from . import light as light  # before anything of transformers is imported
