"""The material of generated tasks: names, objects, words. Banks and inventions; ``Draw`` decides which split sees what."""

from __future__ import annotations

from collections.abc import Sequence

from rl.tasks.task import Draw, digest


def words(text: str) -> list[str]:
    return text.split()


def bank(text: str) -> list[str]:
    """Entries between bars; line breaks are only there for the reader."""
    return [" ".join(entry.split()) for entry in text.split("|")]


NAMES = words("""Tom Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Liam Mia Noah Olivia Peter Quinn Rosa Alan Tara
Umar Vera Will Xena Yusuf Zoe Adam Bella Carl Diana Ethan Fiona George Hannah Ivan Julia Kevin Laura Arthur Nina
Oscar Paula Ralf Sara Theo Ursula Victor Wanda Yara Amir Bianca Cyrus Dora Elias Freya Gustav Helen Ian Edith
Karim Lena Marco Nadia Otto Priya Rafael Sofia Tariq Una Vikram Wendy Ada Boris Carmen Ernest Eva Farid Gina Emil
Ines Jonas Kira Ulrich Maya Nils Olga Pablo Rita Simon Tina Uri Violet Walter Yuki Astrid Alice Bruno Chloe Dennis
Elena Frank Greta Harold Ida James Kim Leo Maria Nora Omar Pia Robert Susan Tim Vivian Wes Ella John Agnes Lucy
Daniel Ruth Albert Jane Paul Amy Joe Sue Aisha Ravi Mei Kofi Ingrid Pedro Igor Fatima Lars Naomi Diego Hana Sven
Leila Kenji""")
# Names whose pronoun people expect, from the bank or, now and then, invented.
HE = frozenset(
    words("""Alan Albert Arthur Emil Ernest Igor Ulrich Tom Ben David Felix Henry Jack Liam Noah Peter Sam Umar Will Yusuf
Adam Carl Ethan George Ivan Kevin Max Oscar
Ralf Theo Victor Amir Cyrus Elias Gustav Ian Karim Marco Otto Rafael Tariq Vikram Boris Dylan Farid Hugo Jonas
Luca Nils Pablo Simon Uri Walter Bruno Dennis Frank Harold James Leo Omar Robert Tim Wes John Daniel Mark Paul
Joe Ravi Kofi Pedro Chen Lars Diego Sven Kenji""")
)
SHE = frozenset([*NAMES, "Jana", "Mary", "Zara"]) - HE

OBJECTS = bank("""pens|apples|marbles|bookmarks|stickers|coins|cards|cookies|pencils|stamps|oranges|balloons|shells|toys|beads|
candies|eggs|stones|buttons|tokens|flowers|bottles|cups|apricots|nuts|ribbons|keys|photos|bricks|crayons|
peaches|olives|cakes|muffins|magnets|markers|notebooks|postcards|puzzles|socks|shirts|plates|spoons|almonds|
seeds|pears|bananas|tomatoes|potatoes|cherries|envelopes|badges|dolls|kites|whistles|lanterns|chairs|tiles|
screws|earrings|feathers|leaves|acorns|ornaments|melons|carrots|onions|anklets|pies|bagels|donuts|sandwiches|tulips|
roses|comics|blocks|figurines|posters|mangoes|peppers""")
CONTAINERS = bank(
    """boxes|bags|baskets|crates|shelves|jars|packs|pouches|drawers|cartons|bowls|cases|chests|rows|tins|hampers"""
)
PACKS = bank("""boxes|bags|baskets|crates|jars|packs|trays|cases|cartons|bowls|sacks|hampers|rows|tins|buckets""")
COLOURS = words("""red blue green yellow black white brown purple orange pink grey silver""")

COMMON = words("""water paper window orchard music river stone curtain winter summer mother uncle morning evening school parcel
number picture animal forest mountain island bridge castle village market kitchen hammock candle mirror pocket
ribbon button blanket ladder hammer needle thread butter cheese bread sugar pepper salt honey apple cherry oyster
orange banana carrot tomato potato tiger lion rabbit monkey horse sheep otter duck chicken turkey eagle sparrow
robin owl snake turtle frog spider beetle butterfly doctor teacher plumber sailor soldier painter writer singer
dancer baker butcher tailor king queen prince knight wizard dragon silver golden copper iron marble crystal
diamond velvet cotton wool leather plastic elbow wood metal north south east west happy anxious gentle brave
clever eager simple strong narrow steep heavy light bright opaque empty full early icy quick slow planet eclipse
rocket engine wheel piano guitar violin trumpet organ flute novel poem riddle chapter page sentence adverb circle
square triangle corner center surface pattern signal message package ticket journey harbor anchor compass
lantern system server folder backup battery charger printer antenna keyboard filter valve sensor cable switch
budget invoice contract meeting report agenda project manager customer estimate payment account password network
update release warranty manual strawberry mississippi banana committee parallel rhythm umbrella elephant
kangaroo calendar dictionary pineapple chocolate balloon coffee pumpkin raccoon zigzag tomorrow address success
necessary occasion cinnamon hippopotamus""")

NUMBER_WORDS = words("""zero one two three four five six seven eight nine ten eleven twelve""")

# Invented words: most names are made of these, so that copying is the only way to get them right.
ONSETS = words("b br c ch d dr f fl g gl gr h j k kr l m n p pl pr qu r s sch sk sl st t th tr v w y z")
VOWELS = words("a a a e e e i i o o u ai ea ei ie oa ou y")
CODAS = ["", "", "", "l", "m", "n", "nd", "ng", "r", "rk", "rn", "s", "st", "t", "x"]
PLACE_ENDINGS = words("""holt mere ford wick stad burg haven ton dale vik gard moor field brook port bury by thorpe""")

PRODUCTS = bank("""glass|paper|cheese|wool|clocks|bells|honey|salt|boots|ink|silk|pottery|cider|carpets|lamps|knives|candles|
barrels|violins|tea|rope|lace|mustard|soap|tiles|bread|apples|furniture|pencils|steel|linen|copper""")
REGIONS = bank("""the Sella valley|the northern hills|the Amber coast|the lake district|the western plain|the Ore mountains|
the delta|the high moor|the southern isles|the river country|the pine forest|the old border|the salt flats|
the green valley|the east coast|the upper plateau""")
JOBS = bank("""painter|engineer|composer|botanist|architect|chemist|poet|surgeon|explorer|printer|mathematician|sculptor|
pilot|historian|astronomer|gardener|geologist|novelist|inventor|physicist""")


KNOWN = frozenset(word for entry in (*NAMES, *OBJECTS, *COMMON) for word in (entry.lower(), entry.removesuffix("s")))


def invented(draw: Draw, shortest: int = 1, longest: int = 3) -> str:
    """A word that nobody has seen, of so many syllables, in small letters. Its split is decided by its hash.

    Training may come upon a word of its banks; what is held out may not. Nor is there a held-out entry of a bank that
    training could come upon.
    """

    def make() -> str:
        count = draw.random.randint(shortest, longest)
        return "".join(
            draw.any(ONSETS) + draw.any(VOWELS) + (draw.any(CODAS) if i == count - 1 else "") for i in range(count)
        )

    return draw.owned(make, without=KNOWN if draw.split == "held_out" else ())


def person(draw: Draw) -> str:
    """A first name: as often one that people have as one that nobody has."""
    return draw.pick(NAMES) if draw.chance(0.5) else invented(draw).capitalize()


def things(draw: Draw) -> str:
    """What is counted, in the plural: now and then something that does not exist."""
    return draw.pick(OBJECTS) if draw.chance(0.75) else invented(draw, 1, 2) + "s"


def containers(draw: Draw, known: Sequence[str] = CONTAINERS) -> str:
    """What things are kept in, in the plural. As often something that does not exist: the few that do are learned by heart."""
    return draw.pick(known) if draw.chance(0.5) else invented(draw, 1, 2) + "s"


def colours(draw: Draw) -> tuple[str, str]:
    """Two different kinds of a thing: colours, or as often words that nobody has seen."""
    first, second = draw.several(COLOURS, 2) if draw.chance(0.5) else (invented(draw, 1, 2), invented(draw, 2, 3))
    return first, second


def is_he(name: str) -> bool:
    """Which pronoun a story uses; for most invented names by their hash."""
    return name in HE or (name not in SHE and digest(name) % 2 == 0)
