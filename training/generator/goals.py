"""Goals and dishes, each with its steps in several ways of saying them: what `lists` makes how-tos and recipes of.

The order of the steps is fixed, so that they make sense; the words vary, so that the same text seldom comes twice.
This only holds the tables and reads them into blocks; which words are taken, and what is held out, `lists` decides.
"""

from __future__ import annotations

# One goal a block: the goal, the things it is done to, the steps. A slash divides ways to say a step, brackets hold
# words to choose from, a question mark starts a step that may be left out. {a}: the thing with its article.
GOALS = """
mend {a} : boot, coat, shirt, shoe, sock, dress, glove, bag, tent, jacket, cap, apron
Wash the {x}. / Brush the {x}. / Look at the {x} with care. / Find the hole in the {x}.
? Let the {x} dry by the [fire|window|stove].
Find a [strong|good|long] needle and some [thread|black thread|strong thread].
? Sit down in a good light. / Sit down by the window.
Put the thread through the needle. / Thread the needle.
? Cut a small piece of [cloth|leather]. / Find a small piece of [cloth|leather].
Sew up the hole. / Sew with small stitches. / Close the hole with [ten|twelve|many] stitches.
? Tie a knot at the end. / Make a knot.
? Cut off the thread.
Try on your work. / Put the {x} back in its place. / Show the {x} to [your mother|a friend].

wash {a} : dog, pony, donkey, calf, goat, puppy, lamb, horse
Call the {x}. / Bring the {x} into the yard. / Lead the {x} to the [river|pump|well].
? Talk to the {x} in a [soft|kind|low] voice.
Fill a [tub|bucket|pail] with warm water. / Bring a [tub|bucket] of water.
? Put on an old coat. / Roll up your sleeves.
Pour water on its back. / Wet the {x} all over.
Rub it with soap. / Rub in the soap.
? Keep the soap out of its eyes.
Rinse it well. / Pour clean water over it.
Dry the {x} with a [towel|cloth|blanket].
? Brush its coat.
Give the {x} [a treat|a carrot|something to eat]. / Let the {x} run in the sun.

draw {a} : cat, horse, house, tree, ship, face, boat, rabbit, castle, bird, cow, duck, king
Find [a pencil and some paper|a pen and some paper|a clean page]. / Sit down at the table.
? Look at a real {x} first. / Think of {a}.
Draw a [big|round|small] shape in the middle. / Begin with one long line.
Add the [small|little] parts. / Draw the rest of the {x}.
? Rub out the lines you do not need.
? Make the dark parts black.
Color the {x} [red|blue|brown|yellow|green].
? Draw the [sky|sun|clouds] above it. / Draw some grass under it.
Write your name under it. / Hang it on the wall. / Give it to [your mother|your father|a friend].

make a paper {x} : boat, hat, bird, kite, star, lantern, crown, flower, mask, house, fan
Find a [big|thin|clean|red|white] sheet of paper. / Take a [big|clean|blue] sheet of paper.
Lay it on the table. / Put it flat on the floor.
? Draw the shape of the {x} with a pencil.
Fold it in the middle. / Fold it in two.
Fold down the corners. / Press the fold with your thumb.
? Turn it over.
? Cut off the ends with the scissors. / Cut along the lines.
? Stick the sides down with [glue|paste].
? Wait until it is dry.
Paint it [red|blue|green|yellow]. / Draw [stars|dots|stripes] on it.
Show your {x} to a friend. / Play with it. / Hang it up in your room.

plant {a} : apple tree, rose, bean, lily, oak, cherry tree, tulip, pumpkin, vine, plum tree, poppy
Choose a [sunny|good|quiet] place. / Find a place with [sun|good soil].
? Put on your old shoes.
Pull up the weeds. / Take away the stones.
Dig a [deep|small|round] hole with a spade. / Dig a hole.
? Put some [good|dark] soil in it.
Set the {x} in the hole. / Lay the seed in the hole.
Fill the hole with earth. / Cover it with soil.
? Press the earth down with your [hands|foot].
Water it well. / Give it a can of water.
? Put a stick beside it. / Put a little fence around it.
Water it [every day|every evening|every morning]. / Wait for the rain. / Wait for the spring.

build {a} : shed, bench, hut, fence, cart, boat, table, bridge, swing, bird house, dog house, raft
Make a drawing of the {x}. / Think about how big the {x} should be.
Get some [boards|planks] and nails. / Find some [good|dry|strong] wood.
? Ask [your father|your uncle|a friend] to help you.
Measure the wood. / Mark the wood with a pencil.
Saw the wood. / Cut the boards with a saw.
? Make the edges smooth.
Lay the pieces on the ground. / Put the pieces together.
Hammer in the nails. / Nail the pieces together.
? See if it is strong. / Pull at it to see if it holds.
Paint the {x} [red|green|white|brown|blue].
? Let the paint dry. / Wait a day.
Put your tools away. / Sweep up the dust.

clean {a} : kitchen, bedroom, barn, shop, attic, stable, hall, cellar, hen house, porch, shed
Open the [door|window]. / Put on an apron. / Tie up your hair.
Take out the [big|old|heavy] things. / Put everything in its place. / Pick up what is on the floor.
? Brush down the spider webs.
? Wipe the walls. / Wash the windows.
Sweep the floor with a broom. / Sweep the {x}.
Bring a bucket of [hot|warm|clean] water. / Get some soap and water.
Scrub the floor. / Wash the floor. / Mop the floor.
? Let it dry.
? Shake the [rug|mat] outside.
Carry out the trash. / Put the broom away. / Rest for a while.

find a lost {x} : ring, key, sheep, dog, hat, kitten, book, glove, ball, purse, hen, penny
Stay calm. / Sit down and think.
Think where you saw the {x} last. / Ask who saw the {x} last.
Look [under the bed|in the yard|behind the door]. / Look in your room.
? Look under the [table|chair|stairs].
? Ask [your mother|your sister|the neighbors].
Go back the way you came. / Walk slowly down the path.
? Look in the grass.
? Take a lamp if it is dark.
Look once more in the first place. / Do not give up.
Be glad when you have the {x}. / Thank everyone who helped.

catch {a} : fish, frog, butterfly, crab, beetle, rabbit, snail, goose
Get up early. / Wait for a [warm|quiet|dry] day.
Take a [net|basket|box|bag]. / Find a good net.
Go to the [river|meadow|lake|pond]. / Go out into the [field|garden].
? Walk softly.
Sit still and wait. / Hide behind a [bush|tree|rock].
? Do not make a sound.
Look for the {x}. / Keep your eyes open.
Move your hand slowly. / Come close, step by step.
Catch the {x}. / Put the net over the {x}.
? Count to ten.
Look at it well. / Show it to a friend.
Let the {x} go again. / Set it free.

feed {a} : hen, pig, calf, rabbit, kitten, baby bird, pony, goat, parrot, turtle, duck
Wash the bowl. / Find a clean bowl.
Fill it with [food|good food]. / Get some food from the [barn|kitchen|shed].
? Cut the food into small pieces.
Bring some fresh water. / Fill a dish with water.
? Open the gate.
Call the {x}. / Go to the {x} slowly.
Put down the bowl. / Set the bowl on the ground.
? Stand back a little. / Do not touch the {x} now.
Wait until it has had enough. / Watch the {x} eat.
Take the bowl away. / Wash your hands. / Close the gate.

get ready for {x} : bed, school, church, a party, a long walk, a trip, the snow, supper, the fair, the dance
Stop playing. / Put away your [toys|books|games].
Wash your [face|hands|face and hands]. / Wash your neck and ears.
? Brush your teeth.
? Comb your hair. / Brush your hair.
Change your clothes. / Find clean clothes. / Look for clean socks.
? Fold your old clothes.
? Feed the [cat|dog|fish].
? Drink a [cup|glass] of [milk|water].
Close the window. / Put out the lamp. / See that nothing is left on the floor.
? Look at the clock.
Say goodbye to the [cat|dog]. / Call when you are ready. / Tell your mother that you are ready.
"""

# The same for recipes, with the things needed on lines that start with a dash. {xs}: more than one of them.
RECIPES = """
{x} soup : carrot, potato, onion, pea, bean, tomato, turnip, cabbage, leek, fish
- [two|three|four|five|six] {xs} / some {xs}
- salt / a little salt / salt and pepper
- water / a pot of water
? - [butter|some milk|some cream]
Wash the {xs}. / Clean the {xs}.
Cut them into [small|big|thin] pieces. / Cut them up.
Boil the water. / Put the water on the fire.
Put the {xs} into the pot.
? Stir with a long spoon.
Cook it for [ten minutes|half an hour|an hour]. / Let it cook slowly.
Add the salt. / Put in the salt.
Serve it hot. / Eat it with bread. / Pour it into bowls.

{x} pie : apple, cherry, plum, pear, peach, berry, lemon, fig, orange
- [three|four|five|ten|many] {xs} / a bowl of {xs}
- flour / some flour / two cups of flour
- butter / some butter
? - sugar
? - an egg
Wash the {xs}. / Cut up the {xs}.
Mix the flour and the butter. / Rub the butter into the flour.
? Add a little water.
Roll it flat. / Roll it out.
Lay it in a [dish|pan]. / Press it into a [dish|pan].
Put the {xs} on it. / Fill it with the {xs}.
Bake it until it is [brown|golden]. / Bake it for an hour.
Let it cool. / Cut it into [six|eight|four] pieces. / Eat it warm.

{x} jam : plum, cherry, berry, peach, pear, fig, orange, apple, lemon
- a [basket|bag|bowl] of {xs} / many {xs}
- sugar / a bag of sugar / some sugar
? - a wooden spoon
- [three|four|five|six] clean jars / some jars
Pick over the {xs}. / Wash the {xs}.
Take out the seeds. / Cut them in two.
Put them into a big pot. / Put them on the fire.
Stir in the sugar. / Add the sugar.
Boil it [slowly|for an hour]. / Cook it until it is thick.
? Stir all the time.
Fill the jars. / Pour it into the jars.
Close them well. / Let them cool. / Put them on the shelf.

{x} cake : apple, honey, nut, lemon, cherry, plum, carrot, cream, butter, birthday, orange
- [two|three|four] eggs
- flour / two cups of flour
- sugar / a cup of sugar
- butter / a little butter
? - milk
Heat the oven. / Make the oven hot.
Break the eggs into a bowl. / Beat the eggs.
Add the sugar. / Mix in the sugar.
Stir in the flour. / Mix in the flour.
? Stir until it is smooth.
Butter the pan. / Rub the pan with butter.
Pour it into the pan. / Fill the pan.
Bake it for [an hour|half an hour]. / Bake it until it is brown.
Let it cool. / Serve it with [tea|milk|cream].

{x} salad : tomato, bean, potato, egg, cabbage, fish, carrot, spring, summer, chicken
- a big bowl / a wooden bowl / a bowl
- oil / some oil
- salt / a little salt
? - an onion
? - some green leaves
Wash your hands. / Put on an apron.
Get everything from the [kitchen|pantry|garden]. / Lay everything on the table.
Cut it all into small pieces. / Cut up what is big.
Put it into the bowl. / Fill the bowl.
? Add a little oil.
Mix it with two spoons. / Mix it well.
Add some salt. / Put salt on it. / Taste it.
Serve it cold. / Eat it with bread. / Bring it to the table.
"""


def blocks(text: str) -> list[tuple[str, list[str], list[str]]]:
    """The goals or dishes of a table: what, the things it is done to, its lines."""
    found = []
    for block in text.strip().split("\n\n"):
        head, *lines = block.split("\n")
        what, things = head.split(" : ")
        found.append((what, things.split(", "), lines))
    return found


HOWTOS, DISHES = blocks(GOALS), blocks(RECIPES)
