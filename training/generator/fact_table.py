"""The facts and the sentences that state them: what `facts.py` draws from.

Each table is one relation, subject -> answer; every subject has one answer, and it is the usual one in children's
books. Answers are single common words (a few capitals are longer). No table is complete, and none is a source: a cub
is the young of many animals. A statement says the fact and ends with it; every statement of a relation goes into every
frame, because a fact that is met in a hundred wordings is learned as a fact and not as a sentence. Scenes are whole
sentences beside them. `{s}` is the subject, `{a}` the subject with its article, `{n}` and `{m}` two people, ` *` the
answer; a sentence's first letter is made large later.
"""

from __future__ import annotations


def _table(text: str) -> dict[str, str]:
    """Lines of `subject: answer, subject: answer`, as a dictionary; a subject given twice is an error."""
    pairs = [pair.strip().split(": ") for pair in text.replace("\n", ",").split(",") if pair.strip()]
    table: dict[str, str] = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a subject occurs twice")
    return table


def _beside(ring: str, step: int) -> dict[str, str]:
    """Each word of a ring, with the one that lies `step` on."""
    words = ring.split()
    return {word: words[(place + step) % len(words)] for place, word in enumerate(words)}


DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday"
MONTHS = "January February March April May June July August September October November December"

FACTS: dict[str, dict[str, str]] = {
    "capital": _table("""
        France: Paris, England: London, Italy: Rome, Spain: Madrid, Germany: Berlin, Russia: Moscow, Austria: Vienna
        Greece: Athens, Egypt: Cairo, Japan: Tokyo, China: Beijing, Norway: Oslo, Sweden: Stockholm, Peru: Lima
        Denmark: Copenhagen, Finland: Helsinki, Poland: Warsaw, Portugal: Lisbon, Ireland: Dublin, Cuba: Havana
        Scotland: Edinburgh, Belgium: Brussels, Hungary: Budapest, Chile: Santiago, Canada: Ottawa, Iran: Tehran
        Iraq: Baghdad, Syria: Damascus, Turkey: Ankara, Kenya: Nairobi, Wales: Cardiff, Romania: Bucharest
        Bulgaria: Sofia, Serbia: Belgrade, Switzerland: Bern, Lebanon: Beirut, Thailand: Bangkok, Vietnam: Hanoi
        Latvia: Riga, Morocco: Rabat, Libya: Tripoli, Ecuador: Quito, Australia: Canberra, Holland: Amsterdam
        Colombia: Bogota
    """),
    "young": _table("""
        cow: calf, dog: puppy, cat: kitten, sheep: lamb, horse: foal, hen: chick, duck: duckling, goose: gosling
        pig: piglet, lion: cub, goat: kid, deer: fawn, frog: tadpole, swan: cygnet, kangaroo: joey, bear: cub
        elephant: calf, whale: calf, tiger: cub, butterfly: caterpillar, seal: pup, donkey: foal, zebra: foal
        giraffe: calf, toad: tadpole, leopard: cub
    """),
    "material": _table("""
        a window: glass, bread: flour, butter: cream, cheese: milk, a book: paper, a sweater: wool, a shoe: leather
        a tire: rubber, a candle: wax, a nail: iron, a brick: clay, a table: wood, a ring: gold, jam: fruit
        wine: grapes, a kite: paper, a saddle: leather, a snowman: snow, a flag: cloth, a sword: steel, a scarf: wool
        a belt: leather, a mirror: glass, an omelet: eggs, ice: water, toast: bread, a fence: wood, a curtain: cloth
        a castle: stone, cider: apples, chocolate: cocoa, flour: wheat, a haystack: hay, porridge: oats
        a horseshoe: iron, a newspaper: paper, a crown: gold, a bottle: glass, a mitten: wool
    """),
    "opposite": _table("""
        hot: cold, big: small, up: down, in: out, on: off, black: white, day: night, open: shut, happy: sad, new: old
        young: old, wet: dry, hard: soft, high: low, fast: slow, long: short, thick: thin, rich: poor, good: bad
        left: right, wrong: right, empty: full, early: late, clean: dirty, strong: weak, heavy: light, loud: quiet
        near: far, first: last, north: south, east: west, buy: sell, win: lose, push: pull, love: hate, yes: no
        true: false, friend: enemy, life: death, top: bottom, front: back, summer: winter, rough: smooth
        wide: narrow, deep: shallow, remember: forget, question: answer, always: never, everything: nothing
        before: after, above: below, inside: outside, war: peace, laugh: cry, asleep: awake, alive: dead, lost: found
        many: few, more: less, cold: hot, down: up, out: in, white: black, night: day, sad: happy, dry: wet
        south: north, west: east, pull: push, never: always, dirty: clean, weak: strong
    """),
    "day after": _beside(DAYS, 1),
    "day before": _beside(DAYS, -1),
    "month after": _beside(MONTHS, 1),
    "month before": _beside(MONTHS, -1),
    "color": _table("""
        snow: white, milk: white, salt: white, a swan: white, chalk: white, grass: green, a leaf: green, a frog: green
        a pea: green, a cucumber: green, moss: green, an emerald: green, blood: red, a tomato: red, a cherry: red
        a strawberry: red, a ruby: red, a fire engine: red, a lemon: yellow, the sun: yellow, butter: yellow
        a banana: yellow, a canary: yellow, a buttercup: yellow, the sky: blue, the sea: blue, a sapphire: blue
        coal: black, a raven: black, a crow: black, soot: black, tar: black, chocolate: brown, mud: brown
        a chestnut: brown, a coconut: brown, an elephant: gray, a mouse: gray, a donkey: gray, a carrot: orange
        a pumpkin: orange, a pig: pink, a flamingo: pink, a plum: purple
    """),
    "home": _table("""
        bee: hive, bird: nest, spider: web, fox: den, dog: kennel, horse: stable, pig: sty, cow: barn, hen: coop
        bat: cave, mouse: hole, frog: pond, whale: sea, deer: forest, camel: desert, monkey: jungle, goldfish: bowl
        worm: ground, snail: shell, shark: ocean, trout: river, canary: cage, squirrel: tree
        rabbit: burrow, bear: cave, ant: hill
    """),
    "sound": _table("""
        cow: moo, dog: bark, cat: meow, lion: roar, snake: hiss, duck: quack, horse: neigh, pig: grunt, wolf: howl
        sheep: bleat, hen: cluck, rooster: crow, owl: hoot, bee: buzz, mouse: squeak, donkey: bray, frog: croak
        cricket: chirp, bear: growl, pigeon: coo, turkey: gobble
    """),
    "tool": _table("""
        writer: pen, painter: brush, tailor: needle, woodcutter: axe, gardener: spade, knight: sword, archer: bow
        hunter: gun, sweeper: broom, farmer: plow, blacksmith: hammer, carpenter: saw, fisherman: net, cook: pot
        rider: saddle, drummer: drum, fiddler: fiddle, photographer: camera, barber: razor
        cowboy: rope, rower: oar
    """),
    "work": _table("""
        baker: bread, butcher: meat, shoemaker: shoes, hatter: hats, miller: flour, shepherd: sheep, beekeeper: bees
        teacher: children, postman: letters, fireman: fires, pilot: planes, sailor: ships, milkman: milk, poet: poems
        singer: songs, florist: flowers, goldsmith: gold, dentist: teeth, brewer: beer, banker: money, miner: coal
        potter: clay, plumber: pipes, clockmaker: clocks, groom: horses
    """),
}

# Around a statement, which stands at {it}.
FRAMES = (
    "{it}.",
    "{it}.",
    "{it}.",
    "{n} said that {it}.",
    "{n} told {m} that {it}.",
    "Everyone knows that {it}.",
    "It is true that {it}.",
    "In the book it says that {it}.",
    "Of course, {it}.",
    "We learned at school that {it}.",
    "{n} did not know that {it}.",
    "Do not forget that {it}.",
    "As you know, {it}.",
    "The teacher asked, and {n} answered that {it}.",
    "Remember: {it}.",
    'Then {n} said, "Now I know it: {it}."',
    "{n} thought for a while. Was it so that {it}?",
    "First of all, {it}.",
    "They say that {it}.",
    "A wise man once told {n} that {it}.",
    "It is easy to see that {it}.",
)

_AFTER = (
    "the UNIT after {s} is *",
    "after {s} comes *",
    "the UNIT that follows {s} is *",
    "when {s} is over, it is *",
    "{s} is followed by *",
    "the next UNIT after {s} is *",
    "if this UNIT is {s}, the next one is *",
    "one UNIT after {s}, it is *",
    "when {s} has gone by, then comes *",
    "at the end of {s} begins *",
    "after the UNIT of {s} it is time for *",
    "behind {s} stands *",
    "{s} is over, and here is *",
    "{s} makes way for *",
    "when {s} ends, the one that begins is *",
    "{s} ends, and then comes *",
    "the UNIT that begins when {s} is over is *",
    "as soon as {s} is gone, we have *",
    "{s} goes, the next UNIT comes, and its name is *",
    "first there is {s}, and then there is *",
    "what we have right after {s} is *",
    "what follows {s} is *",
    "right after {s} it will be *",
    "the end of {s} is the start of *",
    "soon {s} will end, and the next UNIT will be *",
    "the next UNIT begins as soon as {s} is over, and it is called *",
    "{s} makes room for the next UNIT, and that is *",
)
_AFTER_HELDOUT = ("what comes right after {s} is *", "as soon as {s} ends, the next UNIT begins, and that is *")
_AFTER_SCENES = (
    "What UNIT comes after {s}? It is *.",
    '"What comes after {s}?" asked {n}. "After it comes *," said {m}.',
    "{n} put all the UNITs in a row. Behind {s} stood *.",
    "Today it is {s}, and {n} waits for the UNIT that comes next, for *.",
)
_BEFORE = (
    "the UNIT before {s} is *",
    "before {s} comes *",
    "the UNIT that goes before {s} is *",
    "{s} comes after *",
    "{s} follows *",
    "the last UNIT before {s} is *",
    "if this UNIT is {s}, the one before it was *",
    "one UNIT before {s}, it is *",
    "right before {s} there is *",
    "when {s} begins, it is the end of *",
    "in front of {s} stands *",
    "earlier than {s} comes *",
    "{s} has to wait for the end of *",
    "you come to {s} by way of *",
    "the UNIT that is over when {s} comes is *",
    "when {s} begins, the one that ends is *",
    "{s} begins, and so ends *",
    "the UNIT that goes when {s} comes is *",
    "what we have just before {s} is *",
    "just before {s} it was *",
    "what goes before {s} is *",
    "the start of {s} is the end of *",
    "now {s} begins, and the UNIT that has just ended is *",
    "before there is {s}, there is *",
    "the UNIT that ended last, before {s} began, is *",
    "until {s} begins, it is *",
    "the UNIT that stops when {s} starts is *",
)
_BEFORE_HELDOUT = ("what comes just before {s} is *", "the UNIT that ends when {s} begins is *")
_BEFORE_SCENES = (
    "What UNIT comes before {s}? It is *.",
    '"What comes before {s}?" asked {n}. "Before it comes *," said {m}.',
    "{n} put all the UNITs in a row. In front of {s} stood *.",
    "Now it is {s}, and {n} thinks of the UNIT that has just gone, of *.",
)


def _of(unit: str, sentences: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sentence.replace("UNIT", unit) for sentence in sentences)


# What is said in the training texts.
STATEMENTS: dict[str, tuple[str, ...]] = {
    "capital": (
        "the capital of {s} is *",
        "the capital of {s} is called *",
        "{s} has a capital, and that is *",
        "{s} is a country, and its capital is *",
        "the name of the capital of {s} is *",
        "in {s}, the capital is *",
        "the king of {s} lives in the capital, in *",
        "the town in {s} that is the capital is *",
        "if you want to see the capital of {s}, you must go to *",
        "the road to the capital of {s} is the road to *",
        "of all the towns of {s}, the capital is *",
        "the first town of {s}, its capital, is *",
        "when people of {s} speak of the capital, they speak of *",
        "the capital that belongs to {s} is *",
        "the town called the capital of {s} is *",
        "for {s} the capital is *",
        "what {s} has for a capital is *",
        "the town that {s} calls its capital is *",
        "the people of {s} have for their capital *",
        "{s} has made one town its capital, which is *",
    ),
    "young": (
        "the young of {a} is called a *",
        "a baby {s} is called a *",
        "the baby of {a} is a *",
        "the child of {a} is a *",
        "{a} has a little one, and it is a *",
        "when {a} is still very small, it is called a *",
        "the mother was {a}, so her baby was a *",
        "before it grows up, {a} is a *",
        "the little one of {a} is called a *",
        "{a} was once a *",
        "{a} that is not grown is a *",
        "the name for the young of {a} is a *",
        "what is born to {a} is a *",
        "the small one beside {a} is a *",
        "{a} looks after its little *",
        "we call the baby of {a} a *",
        "{a} comes into the world as a *",
        "the life of {a} begins, and it is a *",
        "as long as it is small, {a} lives as a *",
        "{a} starts out as a *",
        "in the first part of its life, {a} is only a *",
        "{a} first sees the light as a *",
        "at first {a} is no more than a *",
        "{a} spends its first days as a *",
    ),
    "material": (
        "{s} is made of *",
        "{s} is made from *",
        "to make {s}, you need *",
        "they make {s} out of *",
        "the stuff that {s} is made of is *",
        "what {s} is made of is *",
        "without it there would be no such thing as {s}, for it is made of *",
        "{s} was made by hand, out of *",
        "if you want to make {s}, you must first get some *",
        "there is one thing in {s}, and that is *",
        "you make {s} with *",
        "what you need for {s} is *",
        "the thing called {s} is made of good *",
        "{s} comes from *",
        "you cannot make {s} without *",
        "when they made {s}, they used *",
        "what one needs to make {s} is *",
        "for {s}, what they use is *",
        "for {s} you need *",
        "making {s} is easy if you have *",
        "what you take for making {s} is *",
        "all that you need to make {s} is *",
        "what is in {s} is *",
        "before you can make {s}, you look for *",
    ),
    "opposite": (
        "the opposite of {s} is *",
        "{s} is the opposite of *",
        "what is not {s} is *",
        "the opposite of the word {s} is the word *",
        "{s} has an opposite, and it is *",
        "if you turn {s} around, you get *",
        "two words are opposites, {s} and *",
        "the word {s} is the other side of *",
        "where one says {s}, the other says *",
        "it was not {s} at all, it was the opposite: *",
        "on one side stands {s}, on the other *",
        "the other end of {s} is *",
        "{s} is to be turned into its opposite, *",
        "nothing is further from {s} than *",
        "say the opposite of {s} and you say *",
        "the word against {s} is *",
        "the opposite of {s} must be *",
        "if it is not {s}, it would be *",
        "the very opposite of {s}, then, would have to be *",
        "the word for what is not {s} would be *",
        "just the other way around from {s} is *",
        "the opposite of {s} can only be *",
        "what would the opposite of {s} be? It would be *",
        "as far as can be from {s} would be *",
    ),
    "day after": _of("day", _AFTER),
    "day before": _of("day", _BEFORE),
    "month after": _of("month", _AFTER),
    "month before": _of("month", _BEFORE),
    "color": (
        "the color of {s} is *",
        "{s} is *",
        "{s} has a color, and the color is *",
        "in the picture, {s} is *",
        "everyone can see that the color of {s} is *",
        "{s} looks *",
        "as a color, {s} is *",
        "to paint {s}, you take the paint that is *",
        "what color {s} has is easy: *",
        "you can see {s} from far away, for it is *",
        "the right color for {s} is *",
        "the color that {s} has is *",
        "if you draw {s}, make it *",
        "we all know the color of {s}: *",
        "{s} is known for its color, *",
        "the color you think of with {s} is *",
        "{s} has only one color, which is *",
        "{s} never changes its color, and it is always *",
        "{s} has the color that we call *",
        "there is a color that {s} always has, and that is *",
        "look at {s}, which is always *",
        "like everything of that color, {s} is *",
    ),
    "home": (
        "the home of {a} is the *",
        "{a} lives in the *",
        "{a} is at home in the *",
        "at night you will find {a} in the *",
        "the place where {a} lives is the *",
        "if you look for {a}, look in the *",
        "{a} sleeps in the *",
        "you can find {a} in its home, the *",
        "when it goes home, {a} goes to the *",
        "the house of {a} is the *",
        "{a} feels safe in the *",
        "the home that belongs to {a} is the *",
        "where {a} lives, there is the *",
        "{a} comes out of the *",
        "{a} goes back to the *",
        "to see {a}, go to the *",
    ),
    "sound": (
        "the sound that {a} makes is a *",
        "to make a noise, {a} will *",
        "the voice of {a} is a *",
        "if you hear {a}, you hear it *",
        "when it wants to be heard, {a} begins to *",
        "{a} can *",
        "what {a} does with its voice is to *",
        "when {a} is awake, it will *",
        "the noise of {a} is a *",
        "{a} opened its mouth and began to *",
        "like all of its kind, {a} knows how to *",
        "you know {a} by its *",
        "the sound you hear from {a} is a *",
        "{a} will always *",
        "at night {a} began to *",
        "what you hear when {a} is near is a *",
    ),
    "tool": (
        "the tool of {a} is the *",
        "{a} uses the *",
        "the thing that {a} uses is the *",
        "{a} needs the *",
        "no one can be {a} without the *",
        "what {a} takes to work is the *",
        "in the hand of {a} you will see the *",
        "{a} cannot work without the *",
        "the one thing {a} must have is the *",
        "{a} takes good care of the *",
        "if you want to be {a}, you must get the *",
        "for work, {a} takes the *",
        "the work of {a} is done with the *",
        "{a} holds the *",
        "every day {a} picks up the *",
        "the right tool for {a} is the *",
    ),
    "work": (
        "the work of {a} is all about *",
        "the work of {a} is about *",
        "{a} works with *",
        "the job of {a} has to do with *",
        "all day long {a} thinks of *",
        "what {a} knows best is *",
        "there would be no need for {a} if there were no *",
        "what {a} has to do with is *",
        "for {a}, the day is full of *",
        "to be {a} is to work with *",
        "the whole life of {a} is about *",
        "the day of {a} is all about *",
        "{a} always has to do with *",
        "at work {a} has a lot of *",
        "the hands of {a} are busy with *",
        "{a} makes a living with *",
    ),
}

# The statements of the test alone: no training text has them, with any subject, in any frame.
HELDOUT: dict[str, tuple[str, ...]] = {
    "capital": ("the capital city of {s} is *", "the town that {s} has for its capital is *"),
    "young": ("a young {s} is called a *", "{a} begins its life as a *"),
    "material": ("people make {s} out of *", "for making {s}, what you need is *"),
    "opposite": ("the word that means the opposite of {s} is *", "just the opposite of {s} would be *"),
    "day after": _of("day", _AFTER_HELDOUT),
    "day before": _of("day", _BEFORE_HELDOUT),
    "month after": _of("month", _AFTER_HELDOUT),
    "month before": _of("month", _BEFORE_HELDOUT),
    "color": ("if you look at {s}, its color is *", "{s} always has the same color, which is *"),
    "home": ("{a} has its home in the *", "the home that {a} goes back to is the *"),
    "sound": ("you can hear {a} when it begins to *", "the sound of {a} is a *"),
    "tool": ("{a} always works with the *", "for the work that {a} does, the tool is the *"),
    "work": ("the job of {a} is about *", "what {a} works with is *"),
}

# Whole sentences of the training texts, beside the frames.
SCENES: dict[str, tuple[str, ...]] = {
    "capital": (
        "What is the capital of {s}? The capital is *.",
        '"What is the capital of {s}?" asked {n}. "It is *," said {m}.',
        "{n} looked at the map of {s} and found the capital, which is *.",
        "The train went all through {s} and came at last to the capital, to *, and there it stopped.",
        "{n} wrote a letter to a friend in {s}, in the capital, and so the letter went to *.",
    ),
    "young": (
        "What is the young of {a} called? It is called a *.",
        '"Look, {a} and its baby!" said {n}. "The baby is called a *," said {m}.',
        "In the book there was a picture of {a} with its young, a *, by its side.",
    ),
    "material": (
        "What is {s} made of? It is made of *.",
        '"Do you know what {s} is made of?" asked {n}. "Of *," said {m}.',
        "{n} wanted to make {s}, and so {n} went to get some *, and then the work began.",
        "If somebody asks you what people make {s} of, say that it is *.",
    ),
    "opposite": (
        "What is the opposite of {s}? It is *.",
        '"I say {s}, and you say the opposite," said {n}. So {m} said *, and that was right.',
        "{n} and {m} played the game of opposites. For {s}, the word was *.",
        "{n} had to write the opposite of {s}, and wrote *, and the teacher was pleased.",
    ),
    "day after": _of("day", _AFTER_SCENES),
    "day before": _of("day", _BEFORE_SCENES),
    "month after": _of("month", _AFTER_SCENES),
    "month before": _of("month", _BEFORE_SCENES),
    "color": (
        "What color is {s}? It is *.",
        "{n} wanted to paint {s}, and so {n} took the paint that was *, and it looked quite real.",
        '"What color is {s}?" asked {n}. "It is *," said {m}.',
        "{n} made a list of colors. Next to {s}, the list said *.",
    ),
    "home": (
        "Where does {a} live? It is at home in the *.",
        '"Where is the home of {a}?" asked {n}. "It is the *," said {m}.',
        "{n} wanted to see {a} at home, and so they all went to look in the *, and there it was.",
    ),
    "sound": (
        "What does {a} do to make its sound? It will *.",
        "{n} heard {a} *, and then all was still.",
        '"What can {a} do with its voice?" asked {n}. "It can *," said {m}.',
        "In the night {n} woke up, for there was {a} outside, and it began to *.",
    ),
    "tool": (
        "What does {a} use? It is the *.",
        '"What does {a} use?" asked {n}. "The *," said {m}.',
        "{n} wanted to be {a}, and so the first thing to get was the *, and after that came the rest.",
        '{a} came to the door and cried, "Without my tool I cannot work! I have lost the *."',
    ),
    "work": (
        "What is the work of {a} about? It is about *.",
        '"What does {a} work with?" asked {n}. "With *," said {m}.',
        "{n} wanted to be {a} and to have to do with *, every day of the year.",
    ),
}
