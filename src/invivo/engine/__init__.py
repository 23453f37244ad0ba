"""The engine: forward passes that are watched and changed, decoding with the same dice, and comparison."""
