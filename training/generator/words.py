"""Names and nouns that several kinds of text draw from. Common ones: most are one token of a small vocabulary."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


# People of the training texts.
NAMES = words(
    """Albert Alice Amy Andrew Anna Anne Arthur Becky Ben Bert Bessie Betty Bill Billy Bob Carl Caroline Charles
    Charlie Charlotte Clara Daisy Dan Daniel David Diana Dick Dora Dorothy Edward Eliza Elizabeth Ellen Emily Ernest
    Fanny Florence Francis Frank Fred George Gerald Grace Hal Harry Helen Henry Herbert Jack Jacob James Jane Janet
    Jean Jerry Jessie Jill Jim Jimmy Joe John Johnny Joseph Judy Julius Katy Kitty Laura Lily Louis Louise Lucy Luke
    Mabel Margaret Maria Marion Mark Martha Martin Mary Matthew Maurice Max Meg Michael Mike Molly Nancy Nat Ned
    Nicholas Nick Oliver Oscar Oswald Patty Paul Peter Phil Philip Polly Ralph Richard Robert Robin Roger Rose Roy
    Ruth Sally Sam Sara Sarah Silas Stephen Steve Sue Susan Sylvia Ted Teddy Thomas Tim Toby Tom Tommy Tony Walter
    Will William Abner Alec Alex Andy Anthea Archie Bernard Beth Betsy Bruno Conrad Cornelia Eben Elfrida Eli Felicity
    Fergus Gerda Glinda Hank Hiram Ian Jasper Jed Jem Jess Ken Kit Lois Lou Marilla Mildred Miles Nan Obed Ojo Ozma Pat
    Patsy Randy Ray Rilla Rob Rodney Sandy Sylvie Una"""
)

# Words that name people, too: surnames, and heroes of stories. Most are one token, as the names of the test are.
SURNAMES = words(
    """Achilles Aladdin Anderson Bagheera Barclay Bart Barton Barty Beaumains Billie Bly Blythe Brad Brandon Briggs Bud
    Burton Campbell Chad Chadwick Clark Craven Crawford Cyrus Dacre Dani Dean Dicky Dot Earl Edred Ferguson Fletcher
    Glen Glenarvan Graham Guy Hampton Harding Harrison Harvey Holden Hopkins Horton Jacques Jake Jen Jon Jones Jose
    Kabumpo Kane Kat Kay Kendall Kent Kenyon Kim Lila Lockyer Mac Manning Mason Maud Merrick Merritt Minchin Mowgli
    Mudge Murray Nance Napoleon Nelson Oli Paganel Pencroft Percy Perkins Perseus Pete Pudge Randolph Robinson Roscoe
    Ross Rudy Samuel Scott Scrooge Simpson Smith Snowdon Spencer Talbot Tarbox Taylor Thorne Toto Tubby Ulysses Walton
    Watson Wellington Wolverton Woodman York"""
)

# And what else is written with a capital letter, as if somebody were called that.
NICKNAMES = words(
    """Africa America Autumn Boston California Captain Chester Chicago Christian Christie Christmas Colonel Daddy Doctor
    Duke Eagle Easter Emperor England Europe Florida France Friday Grandpa Granny India Indiana Irish Johannes July June
    April August Lady Lightning London Madame Major Mayor Mexico Middleton Midnight Monday Moon Orissa Oz Paris Peace
    Pepper Pilgrim Pope Prince Princess Professor Puck Queen Rand Rangers Rome Russia Saturday Scarecrow Scotland
    Sergeant Shadow Spain Spring Squire Star Storm Sultan Summer Sun Sunday Sunny Thursday Thunder Tiny Troy Tuesday
    Twinkle Velvet Virginia Wednesday Winter Wizard Wonder"""
)

# People of the test alone: no generated training text names them. (Books do.)
HELDOUT_NAMES = words(
    """Cecily Cyril Felix Gilbert Hector Helena Hugh Judith Kathleen Kenneth Leon Lucia Mandy Matilda Mia Rachel Roland
    Rupert Simon Timmy Vernon Wendy"""
)

PLACES = words(
    """store market park school beach farm garden river station castle library church village harbor forest mill
    meadow bridge bakery inn theater hospital palace cave hill lake fountain stable orchard kitchen"""
)

# Things that one hands to another.
THINGS = words(
    """drink book ball letter ring key lamp basket flower apple cake coin map hat box cup knife kite bottle candle
    ribbon drum pencil shell stone bag spoon rope whistle feather button toy picture coat bell glass stick"""
)
