"""The sentences of arithmetic stories: how they begin, what happens in them, what is asked. Wordings only.

``{N}`` is whom the story is about, ``{M}`` somebody new, ``{P}`` and ``{p}`` the pronoun, ``{o}`` the things, ``{c}`` containers,
``{a}`` and ``{b}`` numbers. ``arithmetic`` puts them together; ``Draw`` decides which split sees what.
"""

from __future__ import annotations

from rl.tasks.task import apart, phrased

GETS = "[buys|gets|finds|receives|collects|wins|picks up|earns|makes|bought|got|found|received|collected|won|picked up|made]"
GIVES = "[gives|brings|sends|hands|gave|brought|sent|handed]"
LOSES = "[gives away|loses|sells|uses|throws away|drops|breaks|spends|donates|eats|gave away|lost|sold|used|threw away|dropped|broke|donated|ate]"
PASSES = "[gives|sells|hands|lends|sends|gave|sold|handed|lent|sent]"
TAKES = "[takes|borrows|steals|took|borrowed|stole]"
GONE = "[are broken|are lost|are missing|fall into the river|were broken|were lost|were stolen|fell down]"
HAS = "[has|had|owns|keeps|bought|buys|found|collected|carries|made|picked]"
LATER = "[Then|Later|After that|Next,|On Monday|On Tuesday|The next day|In the afternoon|On the way home]"
HAVE_MORE = "[has|owns|collected|bought|found|gets|makes]"
FRIENDS = "[friends|children|people|pupils|neighbours|players]"

BEGIN_PLAIN = phrased(
    f"{{N}} {HAS} {{a}} {{o}}.", "{N} [starts|started|begins|began] [the day |]with {a} {o}.", "[At first|In the morning|Today|On Monday] {N} [has|had|keeps|owns] {a} {o}.",
    "There [are|were] {a} {o} [on {N}'s table|in {N}'s room|in {N}'s bag].", "{N}'s [shop|bag|room|box] [has|had|holds|held] {a} {o}.",
    "{N} [has|had|owns] {a} {o} [in a cupboard|at home|at the beginning|in a bag].",
) + phrased(
    "[Today|At first|Now] {N} [looks after|takes care of|is proud of|is the keeper of] {a} {o}.", "[Altogether|In total|So far] {N} [has|had|owns] {a} {o}.",
    "The number of {o} that {N} [has|had|owns|keeps] is {a}.", "[We know that|Let us say that|Suppose that] {N} [has|had|owns] {a} {o}.",
)  # fmt: skip
BEGIN_GROUPS = phrased(
    f"{{N}} {HAS} {{a}} {{c}} with {{b}} {{o}} in [each|every one|each of them].", f"{{N}} {HAS} {{a}} {{c}} [of|with] {{b}} {{o}} each.",
    f"{{N}} {HAS} {{a}} {{c}} of {{o}}, and each [holds|has|contains] {{b}}.", f"{{N}} {HAS} {{a}} {{c}} that hold {{b}} {{o}} each.",
    "There [are|were] {a} {c} in {N}'s [room|shop|house], and there [are|were] {b} {o} in [each|every one].",
    "{N} [fills|filled|packs|packed] {a} {c} with {b} {o} each.", "{N} [puts|put|packed] {b} {o} into [each of|every one of] {a} {c}.",
    f"{{N}} {HAS} {{a}} {{c}}. Each [of them |]contains {{b}} {{o}}.", f"{{N}} {HAS} {{a}} {{c}}, each with {{b}} {{o}}.",
    "Each of {N}'s {a} {c} [has|holds|contains|had] {b} {o}[ in it|].",
) + phrased(
    "In {N}'s [room|shop|house] [there are|one finds|one sees] {a} {c}, and [each|every one] of them [has|holds] {b} {o}.", "{N} [carries|brings|brought|carried] {a} {c} [of|with] {b} {o} [each|apiece].",
    "{N} [packs|packed|sorts|sorted] {o} into {a} {c}, {b} [in each|to each one].", "Each of the {c} that {N} [owns|has|bought] [holds|has|contains] {b} {o}, and there are {a} of them.",
    "There [are|were] {b} {o} in [each|every one] of {N}'s {a} {c}.", "{N} [loads|loaded|stacks|stacked] {a} {c} with {b} {o} [each|in each].",
)  # fmt: skip
BEGIN_TWO_KINDS = phrased(
    f"{{N}} {HAS} {{a}} {{x}} {{o}} and {{b}} {{y}} [{{o}}|ones].", "There [are|were] {a} {x} {o} and {b} {y} {o} in {N}'s [bag|room|box].",
    f"{{N}} {HAS} {{a}} {{x}} and {{b}} {{y}} {{o}}.", "{N} [put|puts] {a} {x} {o} and {b} {y} {o} [together|in a bag].",
) + phrased(
    "{N} [counts|counted|collects|collected] {a} {x} {o} and {b} {y} [ones|{o}].", "In {N}'s [bag|room|box] there are {a} {x} [and|{o} and] {b} {y} {o}.",
    "Of {N}'s {o}, {a} are {x} and [the other|the last] {b} are {y}[ ones|].",
)  # fmt: skip
GAIN = phrased(
    f"{{P}} {GETS} {{a}} more.", f"{LATER} {{N}} {GETS} {{a}} more {{o}}.", f"{LATER} {{p}} {GETS} another {{a}}.", f"{LATER} {{p}} {GETS} {{a}} {{o}}.",
    f"{{N}} {GETS} {{a}} more {{o}}.", f"{{P}} also {GETS} {{a}} {{o}}.", f"{{P}} {GETS} another {{a}} {{o}}.", f"{{N}} then {GETS} {{a}} {{o}} more.",
    f"{{P}} {GETS} {{a}} {{o}} from {{M}}.", f"{{M}} {GIVES} {{N}} {{a}} more {{o}}.", f"{LATER} {{M}} {GIVES} {{N}} another {{a}}.",
    f"{{M}} {GIVES} {{N}} {{a}} {{o}}.",
) + phrased(
    f"[Somebody|A friend|A neighbour|The teacher] {GIVES} {{N}} {{a}} [more|more {{o}}|{{o}}].", "Another {a} [{o} |][arrive|are found|come|are added].", "{M}'s [gift|present] [adds|brings] {a} {o}[ to them|].",
    "{P} [is given|was given|is sent|was sent] {a} [more|more {o}] by {M}.",
)  # fmt: skip
LOSE = phrased(
    f"{{P}} {LOSES} {{a}} {{o}}.", f"{LATER} {{N}} {LOSES} {{a}} {{o}}.", f"{LATER} {{p}} {LOSES} {{a}} of [them|the {{o}}].", f"{{P}} {LOSES} {{a}}.",
    f"{{N}} {LOSES} {{a}} {{o}}.", f"{{P}} {LOSES} {{a}} of [them|the {{o}}].", f"{{N}} then {LOSES} {{a}}[ {{o}}|].", f"{{P}} also {LOSES} {{a}} {{o}}.",
    f"{{P}} {PASSES} {{a}} of them to {{M}}.", f"{{N}} {PASSES} {{a}} {{o}} to {{M}}.", f"{LATER} {{p}} {PASSES} {{M}} {{a}}[ {{o}}|].",
    f"{{M}} {TAKES} {{a}} of [the|{{N}}'s] {{o}}.", f"{LATER} {{M}} {TAKES} {{a}} {{o}} from {{N}}.",
    f"{{a}} of [them|the {{o}}] {GONE}.", f"{LATER} {{a}} of the {{o}} {GONE}.",
) + phrased(
    f"[Somebody|A dog|A neighbour|The wind] {TAKES} {{a}} of [them|the {{o}}].", "{P} [has to|must|wants to] [sell|return|give back] {a}[ of them|].", "{a} [{o} |][go|went|are sent|were sent] to {M}.",
    "{N} [hands in|returns|gives back|returned] {a}[ {o}| of the {o}].", "{P} [is robbed of|was robbed of|parts with|parted with] {a} {o}[ then| later|].",
)  # fmt: skip
GAIN_GROUPS = phrased(
    f"{{P}} {GETS} {{a}} {{c}} of {{b}} {{o}} each.", f"{LATER} {{p}} {GETS} {{a}} {{c}} with {{b}} {{o}} in each.", f"{{M}} {GIVES} {{N}} {{a}} {{c}} of {{b}} {{o}}[ each|].",
    f"{{P}} {GETS} {{a}} more {{c}}, each with {{b}} {{o}}.", f"{LATER} {{p}} {GETS} {{a}} {{c}} that hold {{b}} {{o}} each.", f"{{N}} then {GETS} {{a}} {{c}} of {{b}} {{o}} each.",
    "{P} [fills|filled|adds|added] {a} more {c} [with|of] {b} {o} each.",
)  # fmt: skip
LOSE_GROUPS = phrased(
    f"{{P}} {PASSES} {{b}} {{o}} to each of {{a}} {FRIENDS}.", f"{{P}} {LOSES} {{a}} {{c}} of {{b}} {{o}} each.", f"{{a}} {FRIENDS} {TAKES} {{b}} {{o}} each.",
    f"{LATER} {{p}} {LOSES} {{a}} {{c}} with {{b}} {{o}} [each|in each].", f"{{P}} [gives|gave|handed] each of {{a}} {FRIENDS} {{b}} {{o}}.",
    "For {a} days {N} [uses|used|sells|eats|loses] {b} {o} [a day|each day|every day].",
)  # fmt: skip
TIMES = phrased(
    f"{{M}} {HAVE_MORE} {{a}} times as many[ {{o}}|] as {{N}}.", f"{{M}} {HAVE_MORE} {{a}} times as many.", f"{{M}} {HAVE_MORE} {{a}} times [that number of {{o}}|the number of {{o}} that {{N}} has].",
) + phrased(
    "For every one that {N} has, {M} [has|owns|collected|bought] {a}[ {o}|].",
)  # fmt: skip
DOUBLE = phrased(
    f"{{M}} {HAVE_MORE} twice as many[ {{o}}|] as {{N}}.", f"{{M}} {HAVE_MORE} [double that|twice as many].", f"{LATER} {{N}} doubles the number of {{o}}.",
    "[Then|Later|After that] the number of {o} [doubles|doubled].", "{P} [then doubles|then doubled|doubles|doubled] [what {p} has|the number of {o}].",
)  # fmt: skip
HALF = phrased(
    f"{{P}} {LOSES} half of [them|the {{o}}].", f"{LATER} {{p}} {LOSES} half of [them|the {{o}}].", f"{{N}} {LOSES} half of the {{o}}.", f"Half of [them|the {{o}}] {GONE}.",
    f"{{P}} {PASSES} half of the {{o}} to {{M}}.", f"{{M}} {TAKES} half of [them|{{N}}'s {{o}}].", f"{{N}} then {LOSES} half[ of them|].",
)  # fmt: skip
MORE = phrased(
    f"{{M}} {HAVE_MORE} {{a}} more {{o}} than {{N}}.", f"{{M}} {HAVE_MORE} {{a}} more than {{N}}.", f"{{M}} {HAVE_MORE} {{a}} {{o}} more than [that|{{N}}].",
) + phrased(
    "Compared with {N}, {M} [has|owns|makes|bought] {a} more[ {o}|].",
)  # fmt: skip
FEWER = phrased(
    f"{{M}} {HAVE_MORE} {{a}} fewer {{o}} than {{N}}.", f"{{M}} {HAVE_MORE} {{a}} [fewer|less] than {{N}}.", f"{{M}} {HAVE_MORE} {{a}} {{o}} [fewer|less] than [that|{{N}}].",
) + phrased(
    "Compared with {N}, {M} [has|owns|makes|bought] {a} [fewer|less][ {o}|].", "{M} [is|was] {a} {o} [short of|behind|below] {N}[ now|].",
)  # fmt: skip
REMARKS = phrased(
    "The {w} [is|was] [old|new|broken|far away].", "It [is|was] a [cold|warm|quiet|long] day.", "[Nobody|Everybody] [likes|liked|saw] the {w}.", "{M} [is late|sleeps|sings|waits] [outside|at home|here].",
    "The {w} [is|stands] [near|behind|beside] the {x}.",
)  # fmt: skip
LEADS = phrased(
    "[In|Near|Behind|Beside|At|Under] [the|a|this] {w},", "[Because of|Thanks to|Despite|Without] [the|a|this] {w},", "[One|That|This] [day|morning|evening][ in the {w}| near the {w}|],",
)  # fmt: skip
DISTRACTORS = phrased(
    "[{M}|{N}|The teacher|The dog] is {a} years old.", "[{M}|{N}|The teacher] lives at number {a}[ of the street|].", "There are {a} [windows|lamps|people] in the [room|house|school].",
    "The [bus|train|walk] to [town|school] takes {a} minutes.", "It [is|was] {a} degrees [outside|inside|today|here].", "{M} [has|had] {a} [cousins|uncles|horses|teachers].",
    "The [shop|school|museum] [closes|opens] in {a} minutes.", "[{M}|{N}] [read|wrote] {a} pages [last night|yesterday].", "[{M}|{N}] [ran|walked] {a} kilometres [last night|yesterday].",
    "The [house|school|bridge|museum] was built {a} years ago.", "The [dog|cat|bag] weighs {a} [kilograms|pounds].",
)  # fmt: skip
ASK_NOW = phrased(
    "How many {o} [does {N} have|has {N}|has {N} got] [now|left|in the end|altogether|in total|]?", "[How many|So how many|Now how many] {o} [are there|remain|are left]?",
    "[What is|Find|Tell me] the number of {o} [that {N} has|{N} has now|{N} has left].", "[Can you tell|Do you know|Tell me] how many {o} {N} [has|has now|has left]?",
) + phrased(
    "How many {o} does that [make|leave][ for {N}|][ now|]?", "[Count|Work out|Calculate|Find] [the {o} of {N}|{N}'s {o}][ now|].", "What is [the size of {N}'s collection|{N}'s number of {o}][ now|]?",
)  # fmt: skip
ASK_SHARE = phrased(
    f"{{N}} [shares|divides|splits] them [equally|evenly] [among|between] {{a}} {FRIENDS}. How many [{{o}} |]does each[ of them|] get?",
    f"If {{p}} [shares|divides|splits] them [equally|evenly] [among|between] {{a}} {FRIENDS}, how many does each get?",
    "{P} [puts|packs|sorts] them into {a} equal [groups|bags|piles]. How many [{o} |]are in [each|one of them]?",
    f"How many [{{o}} |]does each of {{a}} {FRIENDS} get if {{N}} [shares|divides] them [equally|evenly]?",
) + phrased(
    "{N} [fills|packs] {a} bags with them, all [the same|alike]. How many [{o} |]are in [each|one]?",
    "How many [{o} |]are there for each of {a} [friends|children|people|pupils]?",
)  # fmt: skip
ASK_MONEY = phrased(
    "{N} sells [each|each one] for {a} dollars. How [many dollars|much money] does {p} [get|earn|make]?",
    "[Each one|Each|One of the {o}] [costs|is worth|sells for] {a} dollars. [How much are all of them worth|How many dollars is that|What do they cost in all]?",
    "If {p} sells [all of them|them all|the {o}] [at|for] {a} dollars each, how [much money|many dollars] does {p} [make|get]?",
    "At {a} dollars [apiece|each], how [much money|many dollars] is that?",
) + phrased(
    "One [of them |]costs {a} dollars. [What|How much] do all of {N}'s {o} cost?", "For {a} dollars [each|apiece], what are [they|the {o}] worth[ altogether|]?",
)  # fmt: skip
ASK_TOGETHER = phrased(
    "{M} [has|owns|found|brings] {a} {o}. How many [{o} |]do they have [together|in all|altogether|in total]?",
    "{M} [has|owns|found|brings] {a}. How many {o} do {N} and {M} have [together|in all|altogether|in total]?",
    "[If|When] {M} [has|brings] {a} {o}, how many [{o} |]do they have [together|in all|altogether|in total]?",
    "{M} [has|owns|found|brings] {a} {o}. What is the total [number of {o}|of both]?",
)  # fmt: skip
ASK_EXPRESSION = phrased(
    "[What is|How much is|What's|Calculate|Work out|Compute|Find|Evaluate] {e}[?|.|]", "[Please|Can you] [calculate|evaluate|work out|compute] {e}[.|?]",
    "{e}[?| = ?| =|]", "[Tell me|Give me|What is] the value of {e}[.|?]", "What [do you get|do I get|comes out|is it] for {e}?",
)  # fmt: skip
# A bare sum: people type it in small letters, and without a question mark, too.
ASK_SUM = phrased(
    "[What is|What's|what is|what's|Whats] {e}[?|]", "[Calculate|Compute|Work out|calculate|compute] {e}[.|]", "[How much is|how much is|How much would be] {e}[?|]",
    "[|and |now |ok, ]{e}[?|| =|=]", "[Can you|Could you|Please|please] [calculate|compute|work out] {e}[?|]", "[Tell me|Give me|I need] [the result of|what is|] {e}[.|]",
    "[Hi, what is|Hello, what's|Ok, what is|So what is|And what is] {e}[?|]", "[Solve|solve|Evaluate|Find] {e}[.|]", "What do [you|I] get for {e}[?| please?|]",
)  # fmt: skip
# Both ask for {e}, and what one trains on the other must not hold out.
ASK_EXPRESSION, ASK_SUM = apart(ASK_EXPRESSION, ASK_SUM), apart(ASK_SUM, ASK_EXPRESSION)
