"""Retrieval as a tweak: passages that were found for the prompt stand in front of it (Lewis et al. 2020)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, model_validator

from ..errors import BadText, OutOfRange
from ..spec import Quoted, Spelling, Whole
from .prompt import File, PromptTweak, one_word

SHIPPED = "village"  # a collection that comes along, whatever folder stands here by that name
MOST = 100
PASSAGES, PROMPT = "{passages}", "{prompt}"
WAY = Spelling("bm25|dense|hybrid|chance", str.lower, str, "WAY", "bm25")
Way = Annotated[Literal["bm25", "dense", "hybrid", "chance"], WAY]


def _or_none(name: str) -> str:
    """A name or path that can stand in a line; "" is the loaded model."""
    return one_word(name) if name else name


Embedder = Annotated[
    str,
    AfterValidator(_or_none),
    Spelling(r"[^\s\"']+", str, str, "EMBEDDER", "sentence-transformers/all-MiniLM-L6-v2"),
]


def _few(count: int) -> int:
    if not 1 <= count <= MOST:
        raise OutOfRange(f"{count} passages cannot be retrieved", hint=f"from 1 to {MOST} can")
    return count


class Retrieve(PromptTweak):
    """Put passages in front of the prompt, found for it in a folder of text files, or in `village`, which comes along.

    By words (bm25), by meaning (dense), by both, or, as a control, by chance.
    """

    form: ClassVar[str] = "retrieve {count} from {folder}[ by {how}][ with {embedder}][ as {around}]"
    count: Annotated[Whole, AfterValidator(_few)]
    """How many passages."""
    folder: File
    """Path of a folder with .txt or .md files; a passage is a paragraph."""
    how: Way = "hybrid"
    """How they are found."""
    embedder: Embedder = ""
    """A sentence-embedding model (name on the hub, or folder) that makes the vectors; the loaded one otherwise."""
    around: Quoted = "Passage: {passages} Question: {prompt} Answer:"
    """What the row reads. A prompt that begins with `Question:` gets the passages in front, unless this is given."""

    @model_validator(mode="after")
    def _slots(self) -> Retrieve:
        for slot in (PASSAGES, PROMPT):
            if self.around.count(slot) != 1:
                raise BadText(
                    f"{self.around!r} has {self.around.count(slot)} places for {slot}",
                    hint='write each once, as in as "Context: {passages} Question: {prompt} Answer:"',
                )
        return self

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(path for path in (self.folder, self.embedder) if path and path != SHIPPED)

    def change(self, text: str) -> str:
        """Not here: what is found depends on a model's vectors (engine/retrieval)."""
        raise BadText(f"`{self}` needs a model that searches")

    def put(self, passages: str, text: str) -> str:
        """The row's prompt, with the passages that were found for `text`."""
        usual = self.around == type(self).model_fields["around"].default
        if usual and text.lstrip().startswith("Question:"):
            return f"Passage: {passages} {text.lstrip()}"
        return self.around.replace(PROMPT, "\0").replace(PASSAGES, passages).replace("\0", text)
