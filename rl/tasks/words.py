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
Leila Kenji
Justin Thomas Rachel Owen Tamara Muriel Jeremy Richard Kai Beatrice Heather Aurora Monica Mabel Gabriel Warren Cecil Flora
Bilal Louis Trevor Teresa Rufus Irene Nicole Lewis Pamela Vincent Roger Rosemary Basil Emily Nigel Sabrina Megan Leah
Natalie Gavin Roland Victoria Valerie Veronica Ramona Oliver Silas Neil Sybil Benjamin Jason Jean Graham Luis Hazel Timothy
Cora Philip Leslie Hakim Logan Edwin Javier Dorothy Nicholas Selma Milo Lucas Caroline Keith Katherine Cameron Douglas Molly
Penelope Wilfred Lorenzo Sandra Celia Felicia Bernard Nathan Ashley Winifred Rodney Michael Frederick Lawrence Stuart Gerald
Virginia Fergus Louise Marcus Deborah Lakshmi Jill Isabel Roy Eleanor Anton Phyllis Kurt Agatha Nancy Raymond Patrick Maud
Aaron Salma Josephine Edna Stephen Francis Thelma Antonia Cynthia Leonard Donald Edmund Klaus Ivy Yvonne Yasmin Judith
Joseph Fabian Russell Esther Randolph Brian Solomon Kirsten Ryan Morgan Lloyd Eric Norman Lois Harriet Orlando Wallace
Curtis Margaret Alicia Jesse Arlo Caleb Charles Amanda Miriam Hassan Karen Elsa Rudolf Edgar Dominic Holly Lillian Jacob
Phoebe Gloria Barbara Pearl Bonnie Jorge Mohammed Percy Ahmed Eloise Kenneth Oswald Gwen Colin Claudia Derek Heidi Alfred
Andrew Melissa Stella Hubert Georgia Blake Aiden William Mason Elliot Lola Roderick Maurice Stanley Octavia Daphne Andre
Manuel Anita Xavier Larissa Adele Herbert Reginald Martha Beth Joan Gareth Joyce Julian Rupert Wayne Malcolm Mildred Connor
Zachary Geoffrey Tobias Duncan Jasmine Florence Hilda Vanessa Evelyn Joshua Angela Damian Howard Isaac Sebastian Amelia
Sidney Eugene Edward Lydia Patricia Hector Rhoda Tristan Terry Brenda Ophelia Bridget Audrey Ralph Grant Faith Martin Serena
Marion Abigail Samuel Hamza Vernon Sylvia Gordon Eileen Charlotte Linda Shirley Craig Matthew Rebecca Alexander Delia Darius
Claude Christine Matilda Enzo Eli Harvey Imogen Juan""")
# Names whose pronoun people expect, from the bank or, now and then, invented.
HE = frozenset(
    words("""Alan Albert Arthur Emil Ernest Igor Ulrich Tom Ben David Felix Henry Jack Liam Noah Peter Sam Umar Will Yusuf
Adam Carl Ethan George Ivan Kevin Max Oscar
Ralf Theo Victor Amir Cyrus Elias Gustav Ian Karim Marco Otto Rafael Tariq Vikram Boris Dylan Farid Hugo Jonas
Luca Nils Pablo Simon Uri Walter Bruno Dennis Frank Harold James Leo Omar Robert Tim Wes John Daniel Mark Paul
Joe Ravi Kofi Pedro Chen Lars Diego Sven Kenji
Aaron Ahmed Aiden Alexander Alfred Andre Andrew Anton Arlo August Basil Benjamin Bernard Bilal Blake Brian Caleb Cameron
Cecil Charles Claude Colin Connor Craig Curtis Damian Darius Derek Dominic Donald Douglas Duncan Edgar Edmund Edward Edwin
Eli Elliot Enzo Eric Eugene Fabian Fergus Francis Frederick Gabriel Gareth Gavin Geoffrey Gerald Gordon Graham Grant Hakim
Hamza Harvey Hassan Hector Herbert Howard Hubert Isaac Jacob Jason Javier Jeremy Jesse Jorge Joseph Joshua Juan Julian
Justin Kai Keith Kenneth Klaus Kurt Lawrence Leonard Lewis Lloyd Logan Lorenzo Louis Lucas Luis Malcolm Manuel Marcus Martin
Mason Matthew Maurice Michael Milo Mohammed Nathan Neil Nicholas Nigel Norman Oliver Orlando Oswald Owen Patrick Percy
Philip Ralph Randolph Raymond Reginald Richard Roderick Rodney Roger Roland Roy Rudolf Rufus Rupert Russell Ryan Samuel
Sebastian Sidney Silas Solomon Stanley Stephen Stuart Terry Thomas Timothy Tobias Trevor Tristan Vernon Vincent Wallace
Warren Wayne Wilfred William Xavier Zachary""")
)
SHE = frozenset([*NAMES, "Jana", "Mary", "Zara"]) - HE

OBJECTS = bank("""pens|apples|marbles|bookmarks|stickers|coins|cards|cookies|pencils|stamps|oranges|balloons|shells|toys|beads|
candies|eggs|stones|buttons|tokens|flowers|bottles|cups|apricots|nuts|ribbons|keys|photos|bricks|crayons|
peaches|olives|cakes|muffins|magnets|markers|notebooks|postcards|puzzles|socks|shirts|plates|spoons|almonds|
seeds|pears|bananas|tomatoes|potatoes|cherries|envelopes|badges|dolls|kites|whistles|lanterns|chairs|tiles|
screws|earrings|feathers|leaves|acorns|ornaments|melons|carrots|onions|anklets|pies|bagels|donuts|baguettes|tulips|
roses|comics|blocks|figurines|posters|mangoes|peppers|
lemons|dates|loaves|dumplings|medals|limes|rulers|jugs|wires|plums|beans|crabs|drawings|pins|hens|pillows|kiwis|forks|nails|
erasers|gloves|bracelets|daisies|fish|hats|magazines|robots|plugs|drums|pots|trains|figs|towels|goats|staples|walnuts|vases|
planes|coconuts|tops|raisins|peas|gears|batteries|tires|pans|tubes|bows|pipes|rings|lilies|zippers|grapes|truffles|cucumbers|
pretzels|yo-yos|sticks|brushes|springs|pebbles|worms|bolts|stencils|spools|biscuits|ladles|mushrooms|shrimps|sausages|
chestnuts|scones|butterflies|puppets|planks|flags|lollipops|trophies|napkins|paints|pancakes|orchids|lambs|trucks|tarts|
shoes|logs|combs|turnips|radishes|paper clips|scarves|waffles|masks|mugs|maps|patches|snails|dice|necklaces|arrows|shovels|
bulbs|newspapers""")
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
update release warranty manual strawberry mississippi almanac committee parallel rhythm umbrella elephant
kangaroo calendar dictionary pineapple chocolate balloon coffee pumpkin raccoon zigzag tomorrow address success
necessary occasion cinnamon hippopotamus
wing loyal verb palace liver test leaf cocoa roast tourist suit raven gum caravan bargain stage skate hero flood nature
jewel hand noise metre lily sound tyrant theater nylon heat grief player canal note neighbor cereal gravel son jungle pirate
razor trade quality father seal virus editor brain camera lens ostrich past fame quiet gem pure fuse mist coil stale tape
labor style wage corn chess canoe chisel driver stem title jail sofa rail finger native profit gun period season prayer gas
solid remedy rural wave corpse senate lonely tuna breeze line body peace victory reader delicate vine power vowel pedal
diver carriage thin modern cousin meadow barn young hair reptile meat lady dress salmon cobra stove war draft glacier ruby
dark pond pasta brass grass witch tribe net neat passage band scholar comet fog level glory tide blossom chain panel local
tool zebra fur brother poison visitor wife hare ankle vitamin skeleton fever candy notice rake wax spinach bone stair bride
vanilla fist fire grave tunnel diesel flame legend shark sore hut mineral royal colony fern press acid failure nun rare
rescue custom leader pupil twin slope priest mouse hobby rifle ripe soul fear police mule limit wasp star solar rumor soil
canary motor fan blouse face chapel vein desk mayor plot fox problem kiss tidy prison enemy tear cave drama fancy coal
ceiling rude tomb veil grain van college sail niece trail vacuum wagon basin dust mind yeast maple trout bundle hail thorn
chin harp memory cabin navy landlord race volume bacon polite mass safe waiter globe habit lazy goal choir family sour wind
plow wine pony radar hint moss nose comedy dove sea nest relative whale wise steam type question sand pistol cinema giraffe
mild trust rage tiny zone handle pump glad decade dentist delay baby reward nectar sick suburb cliff cough banner trunk
social weapon size weary path galaxy earth zoo low nurse serious sample soda juice bush heart throat charm noodle vinegar
ruin hole desert faucet apron fuel chart ember current track mail viola smooth elm beach pudding rust phone wealth side warm
attic traffic saddle thunder reef timber target toilet label whisper bamboo spot artist diet deep nerve blood sword ash
plaza maid rod thirst branch empire breakfast scar trial media daughter sorrow orphan mystery barber toe soft spine dock
jury nation proof curious shelf tornado bitter short creek crisp idle penguin weird cheek mermaid shallow daisy angle
lobster trouble scene sultan lecture stadium court ancient moon bull stripe station stool clown farm nettle jazz tongue
walrus quilt unit cloak tender vault radio dessert hockey cricket scale entrance laughter ugly straight axle rough lounge
beard crowd mile yogurt cream milk stupid screen above tennis oak upset gymnast sleeve beggar loop cabbage term antique
saint loud actor dwarf view across captain uniform chef gravy garment dear cargo lid burden spark sweat spice fleet cloth
vision ivory charcoal garlic argument drain rice potter knife pride reason moose pig danger language trap alley council
usual hook knock horn ballot bark fruit crop tent keen liberty client glue rock nephew bed guilt pyramid lip helmet root
waste pitch image squid verse public object stew sink cow crown pole calm throne liquid pork panic lane chalk axis detail
adult beef dish garage relief error moth feast senior hunger pants dusk vivid skull squad shed symbol canvas pastry bishop
roof math oval jaw swift mixture fort evil laptop pioneer skirt blade fiddle clerk cattle harvest army vessel cement topic
breath belt oasis expert spy dawn logic graph useful stable dough hunter oxygen shore lotion film luck harbour slice monster
surprise group panda sting jelly land shoulder lobby crime arena foot mouth swarm smoke lesson bug stream supper lock falcon
ocean oat flock arm sauce channel skin airport laundry noble right salad heel eye deer quarter fountain arch ginger scent
magic sandal spear volcano cash yarn fresh parent drill fashion grocery shield storm alone parrot region victim plenty ghost
clay opera ferry climate couple student swan punch rich spirit crumb autumn load justice weed tail partner pretty smell dam
hill guard mercy aspirin syrup wonder jolly strange kettle gulf bottom lyric pool pulse cap mammal bicycle awake fairy crust
step cottage hollow lift knot cannon dirt wolf lasso whip exit treasure outfit sport leak straw jacket shame studio mud
lizard smile courage muscle midnight knee major lettuce guest trick funny raft rubber naked herb flesh crocodile city sled
camel hawk koala thick rapid torch cage office bath queue veteran shower voice satin couch prune pigeon poor license belief
cross voyage debt escape infant thumb wrist cushion agent ear furnace stiff wheat purse damp insect fabric camp task quarrel
frame temple shadow month gossip scarf atlas proud bubble youth special foil bird science waist moment girl dolphin lawyer
alphabet league afraid quartz pet perfume cycle flask law mint flavor spade shade mood stomach ranch cart pause jaguar lawn
parade sweet genius skill sheet smart squirrel thief porch champion sweater collar verdict talent crane cactus phrase ditch
servant master blind round sermon tight space rule echo lung widow general frost myth neck coach boy locket bench shape
giant avenue cellar balcony neutral picnic statue penny stocking gallery urban sharp hedge noon oven scissors athlete loaf
medicine tooth exam health boulder fossil shock kitten album berry silence vulture union limb palm merchant bullet chimney
purpose curve tall cloud tutor judge kidney head toad beaver witness paddle goose wild donkey patient oil tusk sun puppy
orbit soccer zinc drink spike quiz rug chief edge steak member inch leg subject powder prize scout""")

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


# What no invention may be: a part of these belongs to the other split.
KNOWN = frozenset(
    word
    for entry in (*NAMES, *COMMON, *OBJECTS, *CONTAINERS, *PACKS, *COLOURS, *PRODUCTS, *JOBS)
    for word in (entry.lower(), entry.lower().removesuffix("s"), entry.lower().removesuffix("es"))
)


def invented(draw: Draw, shortest: int = 1, longest: int = 3) -> str:
    """A word that nobody has seen, of about so many syllables, in small letters. Its split is decided by its hash."""

    def make() -> str:
        if draw.chance(0.4):
            return blended(draw)
        count = draw.random.randint(shortest, longest)
        return "".join(
            draw.any(ONSETS) + draw.any(VOWELS) + (draw.any(CODAS) if i == count - 1 else "") for i in range(count)
        )

    return draw.owned(make, without=KNOWN)


def blended(draw: Draw) -> str:
    """The beginning of one word and the end of another: spelled as words are, in pieces that syllables alone seldom make."""
    first, second = draw.several(COMMON, 2)
    return first[: draw.random.randint(1, len(first) - 1)] + second[draw.random.randint(1, len(second) - 2) :]


def person(draw: Draw) -> str:
    """A first name: as often one that people have as one that nobody has."""
    return draw.name(lambda: draw.pick(NAMES) if draw.chance(0.5) else invented(draw).capitalize())


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
