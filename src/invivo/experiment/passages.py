"""Texts to measure on: short passages and openings of sentences, written for this, so that no model has read them.

One text is an anecdote. What holds on several, told in different ways, is about the model.
"""

from __future__ import annotations

PASSAGES = (
    "On the hill above the harbour lived an old woman who mended nets for the fishermen. Every evening, when the sky "
    "turned grey, she lit a lamp and set it in the window, where the boats could see it. One night the wind blew it "
    "out, and she went down to the shore with a candle in her hand.",
    "Tom had lost his left shoe again. He looked under the bed, behind the door and in the garden, but it was not "
    'there. Then the dog came in with something brown in its mouth. "So it was you!" said Tom. The dog wagged its '
    "tail and ran away with the shoe, and Tom ran after it in one sock.",
    "The road to the market is long, and in summer it is dusty. We used to leave before the sun was up, my father in "
    "front with the horse, and I behind with the eggs. He never spoke until we reached the bridge. There he would "
    "stop, take off his hat, and say that it was going to be a hot day.",
    "A heron stood in the shallow water and did not move. The frogs grew used to it, as one grows used to a post. "
    "They swam closer, and sang louder, and forgot that it had eyes. In the evening there were fewer of them, and the "
    "heron had still not moved, as far as any frog could tell.",
    "My dear sister, your letter came on Monday, and I have read it three times. The garden is well, though the late "
    "frost took most of the plums. Mother asks after you every day. Please write and tell us when you will come, so "
    "that we can have your room made ready and a fire lit.",
    "There was once a king who could not sleep. He called for his doctors, who gave him bitter tea, and for his "
    "musicians, who played until their fingers were sore. At last a kitchen maid asked him what he thought about at "
    "night. Nobody had asked him that before, and he began to tell her, and before he had finished he was asleep.",
    "The ship had been at sea for forty days when the cook found the first grain of sand in the flour. He showed it "
    "to the captain, who looked at it for a long time. The crew came one by one to see it. It was small and white, "
    "and it was the only piece of land that any of them had seen since the spring.",
    "When the snow melted, the children found a red ball under the old tree. Nobody knew whose it was. They played "
    "with it all day, and when it grew dark they hid it in a hollow of the trunk. In the morning there were two "
    "balls. The little girl laughed, but her brother looked at the tree and took a step back.",
)

OPENINGS = (
    "The old man opened the door and saw",
    "She put the letter in her pocket and",
    "It was cold that morning, and the boys",
    'The cat looked at the bird and said, "',
    "Long ago, in a small village by the sea, there",
    "He took the bread from the table, because he",
    "They walked through the forest until they came to a",
    "The queen was very angry, and her servants",
    "After the storm, the farmer went out to look at his",
    "There was no light in the house, so",
    "My brother has a horse that can",
    "When the bell rang, all the children ran",
    "The doctor looked at her hand and told her",
    "Nobody in the town had ever seen such a",
    "In the middle of the night, a loud noise",
    "The river was high, and the bridge",
    "She laughed when she saw the funny",
    "His father gave him a coin and told him to",
    "The soldiers waited behind the wall for",
    "On the table stood a cup of",
    "The little fox was hungry, so it went to",
    "As soon as the sun came up, the ship",
    "He had promised his mother that he would",
    "The girl could not find her",
)
