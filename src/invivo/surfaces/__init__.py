"""Where people meet invivo. A surface is thin: it parses, makes one call, and shows what came out."""
