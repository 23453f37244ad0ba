"""`python -m invivo`: the same as the command `invivo`."""

import sys

from .surfaces.cli import main

sys.exit(main())
