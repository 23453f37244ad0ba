"""A vector store: Qdrant through its own client, in this process's memory or, by the same code, on a server."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torch import Tensor

from ...errors import Refused
from ..extras import extra
from .passages import Passage

COLLECTION = "invivo"
SECONDS = 5  # that a server has to answer


class Store:
    """Passages with their vectors in a store."""

    def __init__(self, client: Any, url: str, name: str) -> None:
        self.client, self.url, self.name = client, url, name

    def fill(self, passages: Sequence[Passage], vectors: Tensor) -> None:
        """Put passages in with their vectors (N, D), in place of what a collection of that name held."""
        models = extra("qdrant_client.models", "rag")
        with self._reachable():
            if self.client.collection_exists(self.name):
                self.client.delete_collection(self.name)
            self.client.create_collection(
                self.name,
                vectors_config=models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE),
            )
            points = [
                models.PointStruct(id=n, vector=vector, payload={"text": p.text, "source": p.source})
                for n, (p, vector) in enumerate(zip(passages, vectors.tolist(), strict=True))
            ]
            self.client.upsert(self.name, points=points, wait=True)

    def search(self, vector: Tensor, count: int) -> list[tuple[int, float, str]]:
        """Number, cosine and text of the nearest passages to a vector (D,), nearest first."""
        with self._reachable():
            found = self.client.query_points(self.name, query=vector.tolist(), limit=count, with_payload=True)
        return [(int(p.id), float(p.score), str((p.payload or {}).get("text", ""))) for p in found.points]

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if not self.url:
                raise
            why = str(error).strip().splitlines() or [type(error).__name__]
            raise Refused(
                f"the vector store at {self.url} does not answer: {why[0][:120]}",
                hint="start a server (`docker run -p 6333:6333 qdrant/qdrant`), mend the address, or leave url out: "
                "then the store is in memory",
            ) from None


@contextmanager
def store(url: str = "", name: str = COLLECTION) -> Iterator[Store]:
    """A store in memory, or with `url` on that server. Raises Refused without the library, or with no server there.

    The collection of that name on a server is taken away again in the end.
    """
    qdrant = extra("qdrant_client", "rag")
    if url and not url.startswith(("http://", "https://")):
        raise Refused(f"{url} is no address of a server", hint="an address looks like http://localhost:6333")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = (
            qdrant.QdrantClient(url=url, timeout=SECONDS, check_compatibility=False)
            if url
            else qdrant.QdrantClient(":memory:")
        )
        opened = Store(made, url, name)
        try:
            with opened._reachable():
                made.get_collections()
            yield opened
            if url:
                with opened._reachable():
                    made.delete_collection(name)
        finally:
            with suppress(Exception):
                made.close()
