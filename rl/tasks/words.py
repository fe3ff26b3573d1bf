"""The material of generated tasks: names, objects, wordings. Banks only; ``Draw`` decides which split sees what."""

from __future__ import annotations


def bank(text: str) -> list[str]:
    """Entries between bars; line breaks are only there for the reader."""
    return [" ".join(entry.split()) for entry in text.split("|")]


NAMES = """Tom Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Liam Mia Noah Olivia Peter Quinn Rosa Sam Tara
Umar Vera Will Xena Yusuf Zoe Adam Bella Carl Diana Ethan Fiona George Hannah Ivan Julia Kevin Laura Max Nina Oscar
Paula Ralf Sara Theo Ursula Victor Wanda Yara Amir Bianca Cyrus Dora Elias Freya Gustav Helen Ian Jana Karim Lena Marco
Nadia Otto Priya Rafael Sofia Tariq Una Vikram Wendy Ada Boris Carmen Dylan Eva Farid Gina Hugo Ines Jonas Kira Luca
Maya Nils Olga Pablo Rita Simon Tina Uri Violet Walter Yuki Zara Alice Bruno Chloe Dennis Elena Frank Greta Harold Ida
James Kim Leo Maria Nora Omar Pia Robert Susan Tim Vivian Wes Ella John Mary Lucy Daniel Ruth Mark Jane Paul Amy Joe Sue
Aisha Ravi Mei Kofi Ingrid Pedro Chen Fatima Lars Naomi Diego Hana Sven Leila Kenji""".split()

HE = frozenset(
    """Tom Ben David Felix Henry Jack Liam Noah Peter Sam Umar Will Yusuf Adam Carl Ethan George Ivan Kevin Max Oscar Ralf
    Theo Victor Amir Cyrus Elias Gustav Ian Karim Marco Otto Rafael Tariq Vikram Boris Dylan Farid Hugo Jonas Luca Nils Pablo
    Simon Uri Walter Bruno Dennis Frank Harold James Leo Omar Robert Tim Wes John Daniel Mark Paul Joe Ravi Kofi Pedro Chen
    Lars Diego Sven Kenji""".split()
)



def is_he(name: str) -> bool:
    return name in HE


OBJECTS = bank("""pens|apples|marbles|books|stickers|coins|cards|cookies|pencils|stamps|oranges|balloons|shells|toys|beads|candies|
eggs|stones|buttons|tickets|flowers|bottles|cups|lemons|nuts|ribbons|keys|photos|bricks|crayons|peaches|plums|cakes|muffins|
magnets|markers|notebooks|postcards|puzzles|socks|shirts|plates|spoons|candles|seeds|pears|bananas|tomatoes|potatoes|cherries|
envelopes|badges|dolls|kites|whistles|lamps|chairs|tiles|screws|nails|feathers|leaves|acorns|grapes|melons|carrots|onions|rolls|
pies|bagels|donuts|sandwiches|tulips|roses|comics|blocks|figurines|posters|mangoes|peppers""")

CONTAINERS = bank("""boxes|bags|baskets|crates|shelves|jars|packs|trays|drawers|cartons|bowls|sacks|chests|rows|tins|buckets""")

COLOURS = "red blue green yellow black white brown purple orange pink grey silver".split()

COMMON = """water paper window garden music river stone table winter summer mother father morning evening school letter number
picture animal forest mountain island bridge castle village market kitchen basket candle mirror pocket ribbon button blanket
ladder hammer needle thread butter cheese bread sugar pepper salt honey apple cherry lemon orange banana carrot tomato potato
tiger lion rabbit monkey horse sheep goat duck chicken turkey eagle sparrow robin owl snake turtle frog spider beetle butterfly
doctor teacher farmer sailor soldier painter writer singer dancer baker butcher tailor king queen prince knight wizard dragon
silver golden copper iron marble crystal diamond velvet cotton wool leather plastic glass wood metal north south east west
happy quiet gentle brave clever honest simple strong narrow wide heavy light bright dark empty full early late quick slow
planet comet rocket engine wheel piano guitar violin trumpet drum flute novel poem story chapter page sentence word circle
square triangle corner center surface pattern signal message package ticket journey harbor anchor compass lantern
system server folder backup battery charger printer monitor keyboard filter valve sensor cable switch budget invoice contract
meeting report schedule project manager customer order payment account password network update release warranty manual
strawberry mississippi banana committee parallel rhythm umbrella elephant kangaroo calendar dictionary pineapple chocolate
balloon coffee pumpkin raccoon zigzag tomorrow address success necessary occasion cinnamon hippopotamus""".split()

NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()

# Invented names: a first part and a last part. A split owns whole first parts, so no invented name is shared.
FIRST_PARTS = """Var Sel Mor Tal Bren Kor Lun Dra Fen Gal Hol Is Jor Kel Lor Mar Nor Os Pel Quin Ros Sar Tor Ul Vel Wes Yar Zan
Al Bel Cor Dun El Far Gor Hel Im Jan Kan Lan Mil Nev Or Pav Rud San Tev Ur Vas Win Yel Zor Bar Cal Dor Ev Fal Gren Har Il Kas
Lev Man Nil Ost Per Rav Sil Tam Und Vor Wil Zel Ar Bor Cas Der Em Fir Gan Hor Ir""".split()
PLACE_ENDINGS = "holt mere ford wick stad burg haven ton dale vik gard moor field brook port bury by thorpe".split()
PERSON_ENDINGS = "a en i us in ra la no ek is an o".split()
FAMILY_ENDINGS = "sen man ley dorf witz berg ard ell ow ett ini ova quist aux er ck".split()

PRODUCTS = bank("""glass|paper|cheese|wool|clocks|bells|honey|salt|boots|ink|silk|pottery|cider|carpets|lamps|knives|candles|barrels|
violins|tea|rope|lace|mustard|soap|tiles|bread|apples|furniture|pencils|steel|linen|copper""")
REGIONS = bank("""the Sella valley|the northern hills|the Amber coast|the lake district|the western plain|the Ore mountains|the delta|
the high moor|the southern isles|the river country|the pine forest|the old border|the salt flats|the green valley|the east
coast|the upper plateau""")
JOBS = bank("""painter|engineer|composer|botanist|architect|chemist|poet|surgeon|explorer|printer|mathematician|sculptor|pilot|
historian|astronomer|gardener|geologist|novelist|inventor|physicist""")
