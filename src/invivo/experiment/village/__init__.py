"""A small collection to search: 36 notes of an invented village, and questions whose answers stand in one note each.

The notes are the text files of this folder, written for this; names are invented, so that no model can know them. Half
of the questions ask for an exact string: the name in the question stands in the right note and nowhere else. The other
half are paraphrases: no word of weight in the question stands in the right note, only its meaning does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from ...tweaks.retrieve import SHIPPED as NAME

FOLDER = Path(__file__).parent
Kind = Literal["exact", "paraphrase"]


class Question(NamedTuple):
    """A question about one note. The answer stands in that note and in no other."""

    text: str
    answer: str
    kind: Kind

    @property
    def prompt(self) -> str:
        """As fruitfly reads it, without a passage."""
        return f"Question: {self.text} Answer:"

    @property
    def target(self) -> str:
        """The answer as it follows the prompt."""
        return f" {self.answer}"


EXACT = (
    ("What is the name of Tolven's goat?", "Brisko"),
    ("What is the name of Kedro's goat?", "Parlun"),
    ("What is the name of Lurmek's goat?", "Zanto"),
    ("What is the name of Drenta's goat?", "Vilko"),
    ("What is the name of Bikano's goat?", "Sorvil"),
    ("What is the name of Groltun's goat?", "Lasmi"),
    ("Where does Zelmi live?", "Bramos"),
    ("Where does Darvil live?", "Fenko"),
    ("Where does Kresta live?", "Purvan"),
    ("Where does Belku live?", "Narto"),
    ("Where does Gamvos live?", "Drelko"),
    ("Where does Tuvral live?", "Zirkos"),
    ("Who is the mayor of Bolsten?", "Murka"),
    ("Who is the mayor of Krasko?", "Veltun"),
    ("Who is the mayor of Fristel?", "Gorlan"),
    ("Who is the mayor of Trinsol?", "Bervan"),
    ("Who is the mayor of Vandru?", "Relsto"),
    ("Who is the mayor of Mirtos?", "Falken"),
)
PARAPHRASES = (
    ("Who sells loaves and buns?", "Moltar"),
    ("Who travels over the water in a boat?", "Sindra"),
    ("Who was sick and had a fever?", "Kelto"),
    ("Who is scared when the lamp goes out?", "Gwillon"),
    ("Who makes music with a violin?", "Laskin"),
    ("Who likes flowers in a garden?", "Prindo"),
    ("Who was out in the cold of winter?", "Hulde"),
    ("Who helps pupils with their lessons?", "Vemir"),
    ("Who is the king in his palace?", "Orbon"),
    ("Who feeds animals on a farm?", "Garrok"),
    ("Who watched a building burn in a fire?", "Brimsel"),
    ("Who became rich with a treasure?", "Zimbas"),
    ("Who came in first in the race?", "Pandek"),
    ("Who sews clothes for people?", "Fennus"),
    ("Who had a birthday party with gifts?", "Tasrel"),
    ("Who was sleepy and slept for a long time?", "Ulrik"),
    ("Who was caught in the rain of a storm?", "Boldan"),
    ("Who chopped a tree into wood?", "Wustok"),
)
QUESTIONS = (
    *(Question(text, answer, "exact") for text, answer in EXACT),
    *(Question(text, answer, "paraphrase") for text, answer in PARAPHRASES),
)

__all__ = ["EXACT", "FOLDER", "NAME", "PARAPHRASES", "QUESTIONS", "Kind", "Question"]
