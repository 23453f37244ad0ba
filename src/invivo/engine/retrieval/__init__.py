"""Retrieval: finding, in a folder of text files, the passages that a question is about.

A passage is a paragraph. Which ones fit is told by words (`lexical`), by meaning (`dense`), or by both (`fusion`); a
vector store (`store`) and an approximate index (`cells`) do what `dense` does, elsewhere and faster.
"""

from .collection import Collection, Hit, collection, query_of
from .passages import Passage, read
from .tweak import retrieved

__all__ = ["Collection", "Hit", "Passage", "collection", "query_of", "read", "retrieved"]
