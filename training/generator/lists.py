"""Lists and steps: numbered lists, bullets, how-tos, recipes, and counting in prose.

A small model that reads children's books seldom sees a list, so that it cannot count on from "3." to "4." Here the
entries hardly matter and the numbers do: themes with many entries, and goals with many ways to say each step.

A tenth of all headings occur in the test alone; of the other headings, a tenth of all first entries. Both are decided
without regard to the variety, so that a list with bullets does not give away a numbered one of the test. This is
stronger than a hash of the whole key: no text of the training starts with a prompt of the test.

It does not ask what comes next in a list, only which number does. Bullets and prose are for training alone.
"""

from __future__ import annotations

import random
import re

from .goals import DISHES, HOWTOS
from .item import Item, Split, a, capital, side
from .words import HELDOUT_NAMES, NAMES

LONGEST = 110  # words, digits, marks and line breaks of a text: about 120 tokens
MOST = 12  # entries of a list, and the greatest number that the test asks for

COUNTS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
ORDINALS = ["First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth", "Tenth"]
ODD = {"sheep": "sheep", "fish": "fish", "deer": "deer", "mouse": "mice", "goose": "geese", "ox": "oxen"}
ODD |= {"knife": "knives", "wolf": "wolves", "calf": "calves", "scarf": "scarves", "leaf": "leaves"}

# Words of a pool are divided by commas. Words after the bar stand without a number: some bread.
POOLS = {
    "food": """apple, pear, plum, egg, cake, pie, orange, lemon, onion, carrot, potato, bean, cherry, peach, nut, bun,
        biscuit, turnip, cabbage, melon, sausage, pancake, sandwich, fish, tomato, fig | bread, milk, butter, cheese,
        salt, sugar, flour, honey, rice, tea, jam, meat, ham, soup, corn, cream, water, oil, pepper, bacon""",
    "clothes": """coat, hat, shirt, cap, scarf, dress, belt, shoe, boot, glove, sock, apron, cloak, jacket, skirt,
        bonnet, shawl, hood, ribbon, blouse, vest, handkerchief, collar, slipper, stocking, button, gown, mitten""",
    "farm animals": """cow, horse, pig, sheep, goat, hen, duck, goose, dog, cat, donkey, lamb, calf, chick, pony, bull,
        rabbit, mouse, turkey, puppy, kitten, ox, mule, bee, rat, cock""",
    "wild animals": """fox, wolf, bear, deer, owl, hare, rabbit, squirrel, mouse, snake, frog, toad, crow, eagle,
        hawk, robin, sparrow, lion, tiger, monkey, elephant, beaver, bat, mole, lizard, turtle, swan, camel, parrot,
        butterfly, spider, ant, snail, beetle""",
    "tools": """hammer, saw, nail, knife, axe, spade, rake, needle, rope, ladder, bucket, brush, broom, shovel, basket,
        pot, pan, wheel, chain, lock, key, barrel, spoon, hook, file, drill, lamp, candle, mop, kettle
        | string, wire, paint, glue, thread, wood""",
    "toys": """ball, doll, kite, drum, top, whistle, train, wagon, boat, horn, bell, marble, puppet, swing, sled,
        balloon, puzzle, block, hoop, flute, book, mask, rattle, trumpet, bear, flag, pencil, engine""",
    "plants": """rose, lily, daisy, tulip, oak, pine, elm, apple tree, plum tree, cherry tree, violet, poppy, fern,
        willow, vine, birch, bush, rose bush, cabbage, bean, pumpkin, buttercup, thistle, nettle, maple, pear tree
        | grass, moss, ivy, corn, wheat, mint""",
    "travel": """rope, blanket, map, lamp, knife, coat, hat, book, cup, basket, towel, pillow, tent, ball, bag, bottle,
        spoon, candle, pencil, watch, bucket, apple, sandwich, umbrella, whistle, plate, needle, brush, comb, box
        | bread, water, cheese, soap, money, string, paper, tea, food, thread""",
    "people": """baker, farmer, teacher, doctor, miller, sailor, soldier, king, queen, prince, princess, cook, hunter,
        nurse, tailor, shepherd, singer, driver, captain, fisher, painter, giant, dwarf, fairy, witch, guard, maid,
        judge, clown, lady, gardener, carpenter""",
    "places": """school, church, river, bridge, market, mill, farm, park, station, castle, inn, shop, forest, lake,
        garden, beach, harbor, library, hill, cave, meadow, palace, theater, fountain, bakery, tower, field, well""",
    "rooms": """kitchen, hall, bedroom, attic, cellar, library, nursery, parlor, pantry, bathroom, study, porch,
        stable, barn, garage, workshop, dining room, living room, music room, tower room, playroom, laundry, closet,
        schoolroom, sewing room, guest room""",
    "chores": """feed the hens, sweep the floor, wash the cups, make the beds, water the plants, milk the cow, cut the
        wood, clean the windows, mend the fence, bake the bread, fold the clothes, light the fire, brush the horse,
        pick the apples, write a letter, buy some milk, carry the water, set the table, walk the dog, feed the cat,
        empty the basket, find the key, paint the gate, sew the button on, dig the garden, lock the barn, learn the
        song, visit Grandmother, read a book, practice the piano, polish the shoes, peel the potatoes, call the doctor,
        shut the gate, rake the leaves, bring in the eggs""",
}
ADJECTIVES = {
    "food": "fresh big small ripe good sweet",
    "clothes": "red blue warm new old white black green brown clean woolen",
    "farm animals": "white black brown big small fat old young gray spotted",
    "wild animals": "big small brown gray old young shy wild sleepy hungry",
    "tools": "new old long strong big small good heavy",
    "toys": "red blue new old little big yellow green wooden pretty",
    "plants": "tall young old small green pretty",
    "travel": "new old big small good clean red blue",
    "people": "old young kind brave tall merry clever",
    "places": "old new little big quiet",
    "rooms": "big little old cold warm",
}
DAYS = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday"
TRIPS = """the sea, the forest, the hills, the farm, the lake, the river, the city, the beach, the island, the mountain,
    the castle, the desert, school, camp, Grandmother's house, the north, the fair, the village, the moon, the cabin"""
WHO = """Mother, Father, Grandmother, Grandfather, my brother, my sister, the girl, the boy, the king, the teacher,
    my uncle, my aunt, the cook, the old man, my friend"""
BOXES = """red box, old chest, big drawer, closet, attic, blue bag, shed, cellar, window, wagon, brown trunk, shop,
    back room, green basket"""
LANDS = """the zoo, the forest, the woods, the jungle, the park, the picture book, the story, the hills, the circus,
    the mountains, the old garden, the film"""
FARMS = """the farm, the hill, the old barn, our yard, Uncle's farm, the market, the fair, the meadow, the next farm,
    the mill, the song, the village"""
BEDS = "the garden, the park, the big field, the school yard, the king's garden, the woods, the yard, the hills"
FEASTS = """the party, the wedding, the fair, the play, the feast, the picnic, the school, the dance, the concert,
    the castle, the birthday, the ship, the harvest, the meeting"""
TIMES = """today, tomorrow, this morning, this week, before supper, after school, before the rain, in the spring,
    on Monday, on Tuesday, on Wednesday, on Thursday, on Friday, on Saturday, this summer, before bed, at the farm"""

# Pool, ways to write an entry, what fills the blank of the headings, headings. {name}: somebody's name, not held out.
THEMES = (
    ("travel", "bare a a adj", TRIPS, "Things to take to {x}/What to pack for {x}/{name}'s bag for {x}"),
    ("travel", "bare a adj", TRIPS, "Do not forget these things for {x}/{name} made a list for the trip to {x}"),
    ("food", "bare bare a many", DAYS, "Shopping list for {x}/To buy on {x}/What we ate on {x}/{name}'s list for {x}"),
    ("food", "bare a many", FEASTS, "Food for {x}/Things to eat at {x}/What {name} will bring to {x}"),
    ("food", "bare a many", WHO, "What {x} must buy/Things that {x} likes to eat/Buy these things for {x}"),
    ("clothes", "bare a adj many", WHO, "Clothes for {x}/What {x} has to wear/Things to wash for {x}"),
    ("clothes", "bare a adj", TRIPS, "Clothes to pack for {x}/What {name} will wear to {x}"),
    (
        "farm animals",
        "bare a the adj many",
        FARMS,
        "Animals of {x}/The animals from {x}/{name} drew the animals of {x}",
    ),
    ("wild animals", "bare a a adj many", LANDS, "Animals we saw in {x}/Animals in {x}/{name} saw these in {x}"),
    ("tools", "bare a adj many", BOXES, "Tools in the {x}/What is in the {x}/{name} found these things in the {x}"),
    ("tools", "bare a adj many", WHO, "Tools for {x}/Tools that {x} needs/Things to give back to {x}"),
    ("toys", "bare a adj many", BOXES, "Toys in the {x}/All the toys from the {x}/{name}'s toys in the {x}"),
    ("toys", "bare a adj", WHO, "Gifts for {x}/Presents from {x}/Toys that {x} made"),
    ("plants", "bare a adj many", BEDS, "Plants in {x}/What grows in {x}/{name} counted the plants of {x}"),
    ("people", "the the a adj", FEASTS, "People at {x}/Who came to {x}/{name} met these people at {x}"),
    ("names", "bare", FEASTS, "Who will come to {x}/Children at {x}/Names for {x}/Friends to ask to {x}"),
    ("places", "the the a adj", TIMES, "Places to see {x}/Where {name} will go {x}/Places to draw {x}"),
    ("rooms", "the the bare adj", TIMES, "Rooms to clean {x}/Rooms to sweep {x}/Rooms that {name} must paint {x}"),
    ("chores", "bare", TIMES, "Things to do {x}/Work to do {x}/What {name} must do {x}/Jobs to do {x}"),
)

# Who did it, and the word for them in the sentences that follow.
DOERS = (("the boy", "he"), ("the girl", "she"), ("Mother", "she"), ("Father", "he"), ("we", "we"), ("I", "I"))
DOERS += (("the twins", "they"), ("the old man", "he"), ("the children", "they"), ("the maid", "she"))
DEEDS = """swept the floor, fed the hens, washed the cups, made the beds, milked the cow, cut the wood, mended the
    fence, baked some bread, lit the fire, picked some apples, wrote a letter, set the table, walked the dog, found the
    key, shut the gate, dug in the garden, sang a song, cleaned the stove, carried in the water, watered the roses,
    painted the door, went to the mill, bought some milk, read a book, raked the leaves, called the cat"""
ENDS = """Then {name} fell asleep./That was all./There were no more./"Well done!" said {name}./{name} could count no
    further./{name} wrote the number down./Now they were all there.""".replace("\n    ", " ").split("/")


def cut(text: str, mark: str) -> list[str]:
    """The parts between the marks, with their line breaks and indents taken out."""
    return [" ".join(part.split()) for part in text.split(mark) if part.strip()]


def plural(noun: str) -> str:
    """More than one of a noun of the tables above."""
    if noun in ODD:
        return ODD[noun]
    if noun.endswith("y") and noun[-2] not in "aeo":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "sh", "ch", "tato", "mato")) else "s")


def people(split: Split) -> tuple[str, ...]:
    """Names for one side of the split."""
    return NAMES if split == "train" else HELDOUT_NAMES


def entries(dice: random.Random, split: Split, pool: str, way: str) -> list[str]:
    """All entries of a pool in some order, each written in the same way."""
    if pool == "names":
        return dice.sample(people(split), MOST)
    words, _, some = POOLS[pool].partition("|")
    nouns, mass = cut(words, ","), cut(some, ",")
    if way == "a":
        found = [a(noun) for noun in nouns] + [f"some {noun}" for noun in mass]
    elif way == "the":
        found = [f"the {noun}" for noun in nouns + mass]
    elif way == "adj":
        found = [a(f"{dice.choice(ADJECTIVES[pool].split())} {noun}") for noun in nouns]
    elif way == "many":
        found = [f"{dice.choice(COUNTS)} {plural(noun)}" for noun in nouns] + [f"some {noun}" for noun in mass]
    else:
        found = nouns + mass
    return dice.sample(found, MOST)


def written(dice: random.Random, lines: list[str], thing: str) -> list[str]:
    """The steps of a block, each in one of its ways, some of the steps that may be left out left out."""
    found = []
    for line in lines:
        if line.startswith("? ") and dice.random() < 0.4:
            continue
        dash = "- " if "- " in line[:4] else ""
        step = dice.choice(line.removeprefix("? ").removeprefix("- ").split(" / "))
        step = re.sub(r"\[(.*?)\]", lambda hit: dice.choice(hit[1].split("|")), step)
        found.append(dash + step.format(x=thing, xs=plural(thing), a=a(thing)))
    return found


def theme(dice: random.Random, split: Split) -> tuple[str, list[str], str]:
    """A heading with the name left blank, and twelve entries that suit it, and a full stop or none for each."""
    pool, ways, fillers, heads = dice.choice(THEMES)
    head = dice.choice(heads.split("/")).replace("{x}", dice.choice(cut(fillers, ",")))
    found = entries(dice, split, pool, dice.choice(ways.split()))
    if dice.random() < 0.35:
        found = [capital(entry) for entry in found]
    return head, found, dice.choice(("", "", "."))


def held(head: str, first: str) -> Split:
    """On which side a list lies. The heading alone may decide it, else the heading with its first entry."""
    first = first.lower().rstrip(".")
    return "test" if side("heading", head) == "test" else side("heading", head, first)


def heading(dice: random.Random, split: Split, head: str) -> str:
    """The line above a list, with the name filled in."""
    return capital(head.format(name=dice.choice(people(split)))) + dice.choice((":\n", ":\n", ":\n", ":\n\n"))


def numbered(form: str, top: str, steps: list[str], done: int, mark: str, start: int = 1) -> Item:
    """A numbered list that is cut after `done` entries: the next number is asked for."""
    lines = [f"{number}{mark} {step}" for number, step in enumerate(steps, start)]
    answer = str(start + done)
    rest = "\n".join(lines[done:]).removeprefix(answer)
    return Item((form, top, *lines[:done]), top + "\n".join(lines[:done]) + "\n", answer, rest, form=form)


def number_mark(dice: random.Random) -> str:
    """What follows a number: most often a full stop."""
    return ")" if dice.random() < 0.15 else "."


def plain(dice: random.Random, split: Split) -> Item | None:
    """A numbered list with a heading; some go on from a later number. None: it lies on the other side."""
    head, found, stop = theme(dice, split)
    if held(head, found[0]) != split:
        return None
    start = 1 if dice.random() < 0.85 else dice.randint(2, 20 if split == "train" else 6)
    most = MOST if split == "train" else MOST + 1 - start
    done = dice.randint(1, most - 1)
    total = dice.randint(max(3, done + 1), most)
    top = heading(dice, split, head)
    if start > 1 and split == "train" and dice.random() < 0.4:
        top = ""  # only in training: without a heading, both sides could have the same list
    form = "list" if start == 1 else "continued"
    return numbered(form, top, [entry + stop for entry in found[:total]], done, number_mark(dice), start)


def bullets(dice: random.Random, split: Split) -> Item | None:
    """A list without numbers."""
    head, found, stop = theme(dice, split)
    if held(head, found[0]) != split:
        return None
    mark = dice.choice("---*")
    lines = [f"{mark} {entry}{stop}" for entry in found[: dice.randint(3, 10)]]
    done = dice.randint(1, len(lines) - 1)
    top = heading(dice, split, head)
    rest = "\n".join(lines[done:]).removeprefix(mark)
    return Item(("bullets", top, *lines[:done]), top + "\n".join(lines[:done]) + "\n", mark, rest, form="bullets")


def howto(dice: random.Random, split: Split) -> Item | None:
    """Steps that lead to a goal, each a sentence."""
    what, things, lines = dice.choice(HOWTOS)
    thing = dice.choice(things)
    goal = what.format(x=thing, a=a(thing))
    steps = written(dice, lines, thing)
    if held(goal, steps[0]) != split:
        return None
    top = heading(dice, split, dice.choice(("how to {}", "how to {}", "{{name}} shows how to {}")).format(goal))
    return numbered("how-to", top, steps, dice.randint(1, len(steps) - 1), number_mark(dice))


def recipe(dice: random.Random, split: Split) -> Item | None:
    """What one needs for a dish, and the steps."""
    what, things, lines = dice.choice(DISHES)
    thing = dice.choice(things)
    dish = what.format(x=thing)
    found = written(dice, lines, thing)
    needs = [line for line in found if line.startswith("- ")]
    steps = [line for line in found if not line.startswith("- ")]
    if held(dish, steps[0]) != split:
        return None
    dice.shuffle(needs)
    top = heading(dice, split, dice.choice(("{}", "how to make {}", "{{name}}'s {}")).format(dish))
    top += "You need:\n" + "\n".join(needs) + dice.choice(("\n", "\n\n"))
    return numbered("recipe", top, steps, dice.randint(1, len(steps) - 1), number_mark(dice))


def counting(dice: random.Random, split: Split) -> Item | None:
    """Numbers in words, in prose: one sheep, two sheep; or first, second, third."""
    if dice.random() < 0.4:
        who, again = dice.choice(DOERS)
        deeds = dice.sample(cut(DEEDS, ","), dice.randint(3, 8))
        parts = [f"{word}, {again} {deed}." for word, deed in zip(ORDINALS, deeds, strict=False)]
        parts[0] = parts[0].replace(f", {again} ", f", {who} ", 1)
        glue, last = " ", ""
    else:
        noun = dice.choice(cut(POOLS[dice.choice(("food", "farm animals", "wild animals", "toys"))].split("|")[0], ","))
        bare = dice.random() < 0.3
        words = ["one", *COUNTS][: dice.randint(4, MOST)]
        parts = [word if bare else f"{word} {plural(noun) if at else noun}" for at, word in enumerate(words)]
        glue, last = ", ", ". " + dice.choice(ENDS).format(name=dice.choice(people(split)))
        start = f"{dice.choice(people(split))} counted the {plural(noun)}. " if bare or dice.random() < 0.4 else ""
        parts[0] = start + capital(parts[0])
    done = dice.randint(2, len(parts) - 1)
    prompt = (glue.join(parts[:done]) + glue).rstrip()
    answer = " " + re.split(r"[ ,]", parts[done])[0]
    rest = (" " + glue.join(parts[done:])).removeprefix(answer) + last
    return Item(("counting", prompt), prompt, answer, rest, form="counting")


TRAIN = (plain, plain, plain, plain, howto, howto, howto, recipe, recipe, bullets, counting)
TEST = (plain, plain, howto, recipe)


def item(dice: random.Random, split: Split) -> Item:
    """One list. The test has numbered ones alone."""
    make = dice.choice(TRAIN if split == "train" else TEST)
    while True:
        found = make(dice, split)
        if found and len(re.findall(r"[A-Za-z']+|[^A-Za-z' ]", found.text)) <= LONGEST:
            return found
