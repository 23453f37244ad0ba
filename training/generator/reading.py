"""Reading from a passage: a few invented facts, then one question whose answer stands only in the passage.

Every fact is drawn anew (who has which pet, what is hidden where), so nothing can be known beforehand; the answer
has to be looked up. Most passages state the same relation twice or more, of different people or things, so that finding
some pet is not enough: it has to be the pet of the one asked about. What this does not do: pronouns, steps of reasoning
over two sentences, answers that are not in the passage.

Held out: combinations of relation, phrasings, subject and value, by their hash; and a tenth of all invented names,
which no training text holds. In the test all people, pets and towns have such names.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from .item import Item, Split, capital, draw, side
from .words import HELDOUT_NAMES, NAMES, PLACES, words

# --- invented names: Tolva, Mirano, Bresket

STARTS = words("b d f g k l m n p r s t v z br dr fl gr kl kr pl pr st tr")
VOWELS = words("a e i o u")
CLUSTERS = words("""lb ld lf lk lm ln lt lv mb mp nd nk nt nz rb rd rf
    rg rk rl rm rn rt rv rz sk sl sm sn sp st ft kt zd""")
SINGLES = words("b d f g k l m n p r s t v z")
ENDS = words("a o i u an in un on am im om is os us ek ok ak il ul ol el et ot")

# What the syllables might make by chance: words, known names, and what no children's book would print.
TAKEN = frozenset(
    words("""basket market target turban sultan bandit mango tango bingo panda pasta salsa fiesta trinket blanket banket
    musket gasket mantel mortal martin marta berta linda panta santa vista drama plasma karma parka polka vodka tundra
    pinto pronto presto pesto lento tempo mambo limbo bimbo rumba samba mamba zombi tomato potato banana marina melodi
    pulpit permit limpet strumpet trumpet brisket gambol gambit bantam random tandem kingdom tantrum sandal vandal
    lintel pastel gospel pistol dalton milton felton morton norton burton bertin merlin berlin barton marvel torto
    dublin marlin martis pardon tendon london person parson fertil lentil verdikt tripoli toledo verona barsalona monako
    kanada panama dakota nevada montana minesota toronto malta sparta delfi salami spageti konfeti marina rosalin
    tornado torpedo desperado bolero sombrero pimento memento grotesk marmot parrot mandarin mandolin violin fortun
    vermin vermon sermon mormon gordon bondon fandom dorset forget velvet
    delta volta lambda korda banda monda bursa torsa torso verso salvo turbo gusto pasto risto gesto testis testa""")
)
UGLY = words("nig fag fuk kum kok kunt dik tit pis sek nazi rape porn slut turd bum fart anal penis vagin nud dam")


REAL = frozenset((*NAMES, *HELDOUT_NAMES))


def invented(dice: random.Random, split: Split) -> str:
    """An invented name of two or three syllables with its capital; a tenth of all such names are of the test alone."""
    while True:
        word = dice.choice(STARTS) + dice.choice(VOWELS)
        if dice.random() < 0.6:  # Tol-va: two syllables that meet in a cluster, since "Tova" would often be a real name
            word += dice.choice(CLUSTERS) + dice.choice(ENDS)
        else:
            word += dice.choice(SINGLES) + dice.choice(VOWELS) + dice.choice(SINGLES) + dice.choice(ENDS[:10])
        if word in TAKEN or any(part in word for part in UGLY) or word.capitalize() in REAL:
            continue
        if side("invented", word) == split:
            return word.capitalize()


# --- what facts are about. Lists that could be mixed up in a question (jobs and kin, say) share no word.

KINDS = {
    "animal": words("dog cat pig goat hen duck lamb pony rabbit mouse parrot fox bear turtle goose frog"),
    "number": words("two three four five six seven eight nine ten eleven twelve twenty"),
    "color": words("red blue green yellow white black brown pink gray purple golden silver"),
    "food": words("""bread soup cheese rice fish honey cake pie plums apples nuts berries butter corn beans meat peas
        eggs pears cherries grapes pudding"""),
    "spot": words("barn cellar attic chest drawer cupboard basket tower well tent hedge wagon sack trunk closet shed"),
    "thing": words("""book ball letter ring key lamp flower coin map hat box cup knife kite bottle candle ribbon drum
        pencil bag spoon rope whistle button toy picture coat bell sword crown clock"""),
    "job": words("""baker miller farmer tailor sailor soldier hunter painter gardener shepherd carpenter barber
        butcher cook fisherman blacksmith shoemaker"""),
    "day": words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
    "fright": words("dogs bees mice spiders ghosts wolves snakes geese bears owls bulls storms cats frogs witches"),
    "flower": words("roses lilies daisies violets poppies tulips pansies buttercups bluebells"),
    "place": PLACES,
    "stuff": words("gold wood stone glass tin iron silver clay paper wool leather straw brass bone"),
    "sound": words("drum flute fiddle harp horn piano trumpet violin whistle organ"),
    "ride": words("boat train cart coach ship wagon sled car horse raft"),
    "goods": words("cheese boats bells hats shoes toys lamps ropes honey clocks baskets candles carpets dolls cakes"),
    "land": words("river sea lake forest hill swamp desert mountain canal valley"),
}


class Relation(NamedTuple):
    """One row of the table. In the sentences {s} is the subject, {v} the value, {t} what the passage shares."""

    form: str  # asks for the value
    back: str  # asks for the subject
    subject: str  # a kind: person, town, pet, or one of KINDS
    value: str
    shared: tuple[str, ...]  # choices of {t}; with slashes: {t}/{base}/{done}, the forms of a verb
    said: tuple[str, ...]
    asked: tuple[str, ...]
    asked_back: tuple[str, ...]


DEEDS = """came home/come home, cleaned the stairs/clean the stairs, cut the grass/cut the grass, saw a king/see a king,
    planted a tree/plant a tree, sang a song/sing a song, fixed the roof/fix the roof, told a story/tell a story,
    fell ill/fall ill, swept the yard/sweep the yard, climbed a tree/climb a tree, painted the fence/paint the fence"""
VERBS = "found/find/found, broke/break/broken, lost/lose/lost, mended/mend/mended, stole/steal/stolen, sold/sell/sold"
HELD = words("apples books hens sheep cows coins stamps dolls marbles shells buttons kites pens bees caps cups pots")
KIN = words("friend cousin neighbor helper teacher doctor partner guest")


def forms(table: str) -> tuple[str, ...]:
    """The entries of a list with commas."""
    return tuple(" ".join(entry.split()) for entry in table.split(","))


# fmt: off
RELATIONS = (
    Relation("pet name", "pet owner", "person", "pet", KINDS["animal"],
        ("{s} has a {t} named {v}.", "{s}'s {t} is called {v}.", "The name of {s}'s {t} is {v}."),
        ("What is the name of {s}'s {t}?", "What is {s}'s {t} called?"),
        ("Who has a {t} named {v}?", "Who owns the {t} that is called {v}?")),
    Relation("pet", "keeper", "person", "animal", (),
        ("{s} has a pet {v}.", "{s}'s pet is a {v}.", "{s} keeps a {v} as a pet."),
        ("What pet does {s} have?", "What kind of animal is {s}'s pet?"),
        ("Who has a pet {v}?", "Who keeps a {v} as a pet?")),
    Relation("number", "counted owner", "person", "number", HELD,
        ("{s} has {v} {t}.", "{s} owns {v} {t}.", "There are {v} {t} in {s}'s house."),
        ("How many {t} does {s} have?", "What is the number of {t} that {s} has?"),
        ("Who has {v} {t}?", "Who is the owner of {v} {t}?")),
    Relation("color", "colored owner", "person", "color", KINDS["thing"],
        ("{s} has a {v} {t}.", "{s}'s {t} is {v}.", "The color of {s}'s {t} is {v}."),
        ("What color is {s}'s {t}?", "What is the color of {s}'s {t}?"),
        ("Who has a {v} {t}?", "Who is the owner of the {v} {t}?")),
    Relation("food", "eater", "person", "food", (),
        ("{s} ate {v}.", "{s} had {v} for supper.", "For supper {s} ate some {v}."),
        ("What did {s} eat?", "What was it that {s} ate?"),
        ("Who ate {v}?", "Who was it that ate {v}?")),
    Relation("hiding place", "hidden thing", "thing", "spot", (),
        ("The {s} is hidden in the {v}.", "Somebody hid the {s} in the {v}.", "In the {v} a {s} is hidden."),
        ("Where is the {s} hidden?", "In what place is the {s} hidden?"),
        ("What is hidden in the {v}?", "What did somebody hide in the {v}?")),
    Relation("job", "worker", "person", "job", (),
        ("{s} is a {v}.", "{s} works as a {v}.", "{s} has been a {v} for many years."),
        ("What is the job of {s}?", "What does {s} work as?"),
        ("Who is the {v}?", "Who works as a {v}?")),
    Relation("home", "dweller", "person", "town", (),
        ("{s} lives in {v}.", "The home of {s} is in {v}.", "{s} has a house in the town of {v}."),
        ("Where does {s} live?", "In which town is the home of {s}?"),
        ("Who lives in {v}?", "Whose home is in {v}?")),
    Relation("ruler", "ruled town", "town", "person", ("mayor", "judge", "captain", "ruler", "keeper", "chief"),
        ("The {t} of {s} is {v}.", "{v} is the {t} of {s}.", "The town of {s} has a {t} named {v}."),
        ("Who is the {t} of {s}?", "What is the name of the {t} of {s}?"),
        ("Which town has {v} as its {t}?", "Of which town is {v} the {t}?")),
    Relation("day", "doer on a day", "person", "day", forms(DEEDS),
        ("{s} {t} on {v}.", "On {v} {s} {t}.", "It was on {v} that {s} {t}."),
        ("On which day did {s} {base}?", "When did {s} {base}?"),
        ("Who {t} on {v}?", "Who was it that {t} on {v}?")),
    Relation("taker", "giver", "person", "person", KINDS["thing"],
        ("{s} gave a {t} to {v}.", "{s} gave {v} a {t}.", "{v} got a {t} from {s}."),
        ("Who got a {t} from {s}?", "To whom did {s} give a {t}?"),
        ("Who gave a {t} to {v}?", "From whom did {v} get a {t}?")),
    Relation("bought thing", "buyer", "person", "thing", (),
        ("{s} bought a {v}.", "At the fair {s} bought a {v}.", "{s} went out and bought a {v}."),
        ("What did {s} buy?", "Which thing was bought by {s}?"),
        ("Who bought a {v}?", "By whom was a {v} bought?")),
    Relation("handled thing", "doer", "person", "thing", forms(VERBS),
        ("{s} {t} the {v}.", "The {v} was {done} by {s}.", "It was {s} who {t} the {v}."),
        ("What did {s} {base}?", "Which thing was {done} by {s}?"),
        ("Who {t} the {v}?", "By whom was the {v} {done}?")),
    Relation("kin", "whose kin", "person", "person", KIN,
        ("The {t} of {s} is {v}.", "{s} has a {t} named {v}.", "{s}'s {t} is called {v}."),
        ("Who is the {t} of {s}?", "What is the name of {s}'s {t}?"),
        ("Who has a {t} named {v}?", "Whose {t} is {v}?")),
    Relation("wish", "wisher", "person", "thing", (),
        ("{s} wishes for a {v}.", "{s} would like to have a {v}.", "More than anything {s} wants a {v}."),
        ("What does {s} wish for?", "What does {s} want?"),
        ("Who wishes for a {v}?", "Who wants a {v}?")),
    Relation("fear", "fearful one", "person", "fright", (),
        ("{s} is afraid of {v}.", "{s} fears {v}.", "{s} runs away from {v}, for they are frightening."),
        ("What is {s} afraid of?", "What does {s} fear?"),
        ("Who is afraid of {v}?", "Who fears {v}?")),
    Relation("flower", "flower lover", "person", "flower", (),
        ("{s} loves {v}.", "The flowers that {s} likes best are {v}.", "Of all flowers {s} loves {v} most."),
        ("Which flowers does {s} love?", "What flowers does {s} like best?"),
        ("Who loves {v}?", "Who likes {v} best?")),
    Relation("age", "one of that age", "person", "number", (),
        ("{s} is {v} years old.", "The age of {s} is {v}.", "Today {s} turned {v} years old."),
        ("How old is {s}?", "What is the age of {s}?"),
        ("Who is {v} years old?", "Whose age is {v}?")),
    Relation("way", "walker", "person", "place", (),
        ("{s} went to the {v}.", "{s} walked to the {v}.", "In the morning {s} set out for the {v}."),
        ("Where did {s} go?", "To what place did {s} go?"),
        ("Who went to the {v}?", "Who was it that went to the {v}?")),
    Relation("stuff", "thing of that stuff", "thing", "stuff", (),
        ("The {s} is made of {v}.", "The {s} was made out of {v}.", "Somebody made the {s} from {v}."),
        ("What is the {s} made of?", "Of what is the {s} made?"),
        ("What is made of {v}?", "Which thing is made of {v}?")),
    Relation("music", "player", "person", "sound", (),
        ("{s} plays the {v}.", "{s} knows how to play the {v}.", "{s} makes music on the {v}."),
        ("What does {s} play?", "On what does {s} make music?"),
        ("Who plays the {v}?", "Who makes music on the {v}?")),
    Relation("ride", "rider", "person", "ride", (),
        ("{s} came by {v}.", "{s} traveled by {v}.", "It was by {v} that {s} came."),
        ("How did {s} come?", "In what way did {s} travel?"),
        ("Who came by {v}?", "Who traveled by {v}?")),
    Relation("goods", "town of the goods", "town", "goods", (),
        ("The town of {s} is known for its {v}.", "The people of {s} make {v}.", "In the town of {s} they make {v}."),
        ("What is the town of {s} known for?", "What do the people of {s} make?"),
        ("Which town is known for its {v}?", "In which town do the people make {v}?")),
    Relation("land", "town by the land", "town", "land", (),
        ("The town of {s} lies by the {v}.", "{s} is a town near the {v}.", "By the {v} lies the town of {s}."),
        ("What does the town of {s} lie by?", "What is the town of {s} near?"),
        ("Which town lies by the {v}?", "Which town is near the {v}?")),
)
# fmt: on

# Two rows of one mark never meet: a question about the one might be answered from the other.
CLASH = {"pet name": "pet", "pet": "pet", "taker": "thing", "bought thing": "thing", "wish": "thing"}


class Fact(NamedTuple):
    """One sentence of a passage, and what may be asked about it."""

    relation: Relation
    said: str
    slots: dict[str, str]


def asks(dice: random.Random, fact: Fact) -> tuple[tuple[str, ...], str, str, bool]:
    """A question about a fact: its key, the question, the answer, and whether it asks for the subject."""
    back = dice.random() < 0.4
    question = dice.choice(fact.relation.asked_back if back else fact.relation.asked)
    form = fact.relation.back if back else fact.relation.form
    slots = fact.slots
    key = (form, fact.said, question, f"{slots['s']} {slots['t']}".strip(), slots["v"])
    return key, question.format(**slots), slots["s" if back else "v"], back


def passage(dice: random.Random, split: Split) -> list[Fact]:
    """Facts that contradict each other nowhere; the first is the one to ask about, then its like, then others."""
    used: set[str] = set()
    plain = split == "train" and dice.random() < 0.5

    def fresh(kind: str) -> str:
        while True:
            if kind in KINDS:
                word = dice.choice(KINDS[kind])
            else:
                word = dice.choice(NAMES) if kind == "person" and plain else invented(dice, split)
            if word not in used:
                used.add(word)
                return word

    count = dice.randint(2, 5)
    asked = dice.choice(RELATIONS)
    alike = 1 if dice.random() < 0.1 else 3 if count > 3 and asked.value != "person" and dice.random() < 0.4 else 2
    people = [fresh("person") for _ in range(dice.randint(alike, max(alike, min(3, count))))]
    rows = [asked] * alike
    while len(rows) < count:
        row = dice.choice(RELATIONS)
        clash = CLASH.get(row.form)
        if row not in rows and not any(clash and clash == CLASH.get(other.form) for other in rows):
            rows.append(row)
    shared: dict[str, str] = {}
    facts = []
    for at, row in enumerate(rows):
        if row.form not in shared:
            free = [choice for choice in row.shared if choice not in used] or [""]
            shared[row.form] = dice.choice(free)
            used.add(shared[row.form])
        verb = [*shared[row.form].split("/"), "", ""]
        # Those alike are about different people; the others about any of them.
        person = people[at] if at < alike else dice.choice(people)
        subject = person if row.subject == "person" else fresh(row.subject)
        slots = dict(s=subject, v=fresh(row.value), t=verb[0], base=verb[1], done=verb[2])
        facts.append(Fact(row, dice.choice(row.said), slots))
    return facts


def make(dice: random.Random, split: Split) -> Item:
    """One passage with its question, on whichever side of the split its key falls."""
    facts = passage(dice, split)
    first = facts[0]
    key, question, answer, back = asks(dice, first)
    alike = [fact.slots["s" if back else "v"] for fact in facts[1:] if fact.relation is first.relation]
    sentences = [capital(fact.said.format(**fact.slots)) for fact in facts]
    dice.shuffle(sentences)
    prompt, others = f"Passage: {' '.join(sentences)} ", ()
    if split == "train" and len(facts) < 5 and dice.random() < 0.23:  # with five sentences it would be long
        before, asked, told, _ = asks(dice, dice.choice(facts[1:]))
        if side(*before) == "train":  # what is asked on the way counts as asked, too
            prompt += f"Question: {asked} Answer: {told}. "
            others = (len(prompt) - len(f" {told}. "),)
    prompt += f"Question: {question} Answer:"
    return Item(key, prompt, f" {answer}", ".", f" {alike[0]}" if alike else "", key[0], others)


def item(dice: random.Random, split: Split) -> Item:
    """One passage with a question at its end."""
    return draw(dice, split, lambda dice: make(dice, split))


def without_passage(item: Item) -> str:
    """The prompt without its passage: what can be guessed from the question alone."""
    return item.prompt[item.prompt.rindex("Question: ") :]
