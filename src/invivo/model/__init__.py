"""Models: loading them safely, finding their parts by structure, and a door into their attention."""
