"""A hundred short sentences on many things: what "usual" means where a neuron is measured.

The standard deviation in `add 2 sd to neuron 3.49` is taken over them, and the exhibit `neuron` looks in them for what
makes a neuron fire. They were written for this, in plain words, so that any English model can read them; no two are
about the same thing.
"""

from __future__ import annotations

SENTENCES: tuple[str, ...] = tuple(
    """\
The cat slept on the warm stove until noon.
My grandmother keeps her buttons in a tin box.
It rained all night, and the river rose.
Water boils faster in a covered pot.
The king gave his daughter a golden ring.
Where did you leave the keys?
There are seven days in a week.
"I will not go," said the boy.
The train to the coast leaves at nine.
Bread, butter, cheese and two red apples, please.
The wolf howled in the dark forest.
She wrote a letter to her brother in Paris.
The price of wheat fell again last year.
He could not remember the name of the street.
A spider has eight legs.
Snow lay deep upon the roofs of the town.
The soldier laid down his rifle and wept.
Come in and close the door!
The moon goes around the earth.
Two and three make five.
The doctor washed his hands and opened the bag.
They danced until the music stopped.
In the spring the farmer sows his corn.
Old Tom sat by the fire with his pipe.
The ship struck a rock and sank.
Thank you very much for your kind help.
The bees carry honey to the hive.
Mary lost her shoe on the way to school.
The judge asked the witness to sit down.
Nobody knows who built the stone bridge.
Put the flour into a bowl and add an egg.
The mountain is higher than the clouds.
I have never been so tired in my life.
The thief climbed over the wall and ran.
Her eyes were blue and very bright.
The glass fell to the floor and broke.
A good book is a good friend.
The teacher wrote the answer on the board.
Lions live in Africa, tigers in Asia.
The old clock struck twelve.
He paid ten shillings for the horse.
The baby laughed at its own feet.
We walked along the beach and looked for shells.
The engine made a terrible noise.
If it is cold tomorrow, wear your coat.
The queen of the fairies lived in a flower.
The opposite of hot is cold.
A fire broke out in the kitchen of the inn.
The dog barked at the man with the hat.
Once there was a poor woodcutter who had three sons.
They elected a new mayor in the autumn.
The wind blew the leaves across the yard.
Please open your books at page forty.
The painter mixed yellow and blue to get green.
His heart beat fast with fear.
Iron is heavier than wood.
The fish swam round and round in the pond.
On Sunday we go to church.
The little girl was afraid of thunder.
The road to the castle is long and steep.
What a beautiful garden this is!
The tailor sewed a new button on the coat.
A stranger knocked at the gate after dark.
The nurse gave the sick child some soup.
The plane landed an hour late.
All men must die.
The grapes are ripe in September.
John and Peter went fishing in the lake.
The library is closed on Mondays.
He was the first man to cross the desert alone.
The bird built its nest in the apple tree.
Do not touch the hot iron.
The merchant sold silk, spices and tea.
The stars came out one by one.
Her mother told her not to speak to strangers.
The young prince mounted his white horse.
My brother plays the violin rather badly.
The mouse hid under the bed.
It was the best dinner they had eaten for years.
The enemy attacked the city at dawn.
The cow gives us milk.
She laughed until she cried.
The lamp went out, and they sat in darkness.
There is a hole in my left pocket.
The captain shouted an order to his men.
Rome was not built in a day.
The ground shook, and the houses began to fall.
The gardener planted roses along the path.
I think that you are quite right.
The ice on the pond is too thin to skate on.
The servant brought wine and bread to the table.
A child of six cannot carry that trunk.
The owl sees well at night.
He opened the box, but it was empty.
The crowd cheered when the runner fell and rose again.
London stands on the Thames.
The carpenter measured the board twice.
Her voice was low and sweet.
The snake slid into the grass.
The story ends where it began.""".splitlines()
)
