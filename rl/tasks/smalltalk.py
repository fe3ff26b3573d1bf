"""Greetings, and requests beyond a miniature: it answers in one honest sentence and uses no tool."""

from __future__ import annotations

from rl.tasks.task import Draw, Step, Task
from rl.tasks.words import COMMON, bank, person

TIERS = range(1, 2)

GREETING = "Hello! I am Ponder's miniature model: ask me for arithmetic, small programs, lookups in your documents or string puzzles."
THANKS = "You are welcome."
DECLINE = "I can't do that: I am a miniature model for arithmetic, small programs, lookups in your documents and string puzzles."

GREETINGS = bank("""Hello|Hi|Hey there|Good morning|Hi, how are you?|Hello, who are you?|What can you do?|Good evening!|Hello!|Hi!|Hey|
How are you today?|Who are you?|Greetings|Hello there|What are you?|Are you there?|Hi Ponder|Hello Ponder, how is it going?|Help|
What is this?|What is your name?|Good afternoon|Howdy|Hey Ponder|Introduce yourself|Yo|What do you do?|Hello, my name is {n}.|
Hi, I am {n}.|Good day|Hey, what's up?""")
THANK_YOUS = bank("""Thanks|Thank you|Thanks a lot|Thank you very much|Great, thanks|Many thanks|Thank you so much!|Thanks!|Cheers|That helps, thanks|
Perfect, thank you|Ok, thanks""")
REQUESTS = [
    "Write a poem about {a}.", "Write a story about a {a} and a {b}.", "Translate '{a}' into French.", "Tell me a joke.", "What do you think about {a}?",
    "Who won the football game last night?", "Write an essay on {a}.", "Book a flight to {n}ville.", "Draw a picture of a {a}.", "Summarize the news.",
    "What is the weather today?", "Sing a song about {a}.", "Give me a recipe for {a} soup.", "What is the meaning of life?", "Recommend a movie about {a}.",
    "Send an email to {n}.", "Write a letter to {n} about the {a}.", "Who is the president?", "What is love?", "Explain quantum mechanics.",
    "Tell me something about {a}s.", "What is the best {a}?", "Can you help me write a speech about {a}?", "Translate this sentence into German: the {a} is on the {b}.",
    "Set an alarm for tomorrow.", "Play some music.", "Which {a} should I buy?", "Describe a {a} in three sentences.", "Why is the sky blue?",
    "What happened in the news today?", "How do I become a {a}?", "Invent a name for my {a}.", "Write a haiku about the {a}.", "Order a {a} for me.",
    "What is the stock price of {n} Inc.?", "Is it going to rain tomorrow?", "Write a song about {n}.", "Make a plan for my holiday.", "Do you like {a}?",
    "Give me advice about my {a}.", "Explain {a} to a child.", "Rewrite this text in a friendly way: the {a} is late.", "Who wrote the best novel about a {a}?",
    "Tell me a fun fact.", "Can you call {n}?", "What should I eat tonight?", "How do I cook {a}?", "Write a review of a {a}.",
]  # fmt: skip


def generate(draw: Draw, tier: int, task_id: str) -> Task:
    kind = draw.random.random()
    wording, reply, says = (
        (draw.pick(GREETINGS), GREETING, "Hello! I am Ponder's miniature") if kind < 0.25
        else (draw.pick(THANK_YOUS), THANKS, "You are welcome") if kind < 0.32
        else (draw.pick(REQUESTS), DECLINE, "I can't do that")
    )  # fmt: skip
    a, b = draw.several(COMMON, 2)
    question = wording.format(n=person(draw), a=a, b=b)
    careless = question.rstrip(".!?").lower()
    question = careless if draw.owns(careless) and draw.chance(0.3) else question  # "Thanks!" and "Thanks" become one
    thought = "A greeting." if reply is GREETING else "Thanks." if reply is THANKS else "This is beyond me."
    tools = draw.any([("calculator", "python", "search"), ("calculator", "python")])
    return Task(
        task_id, "smalltalk", tier, question, "declined", (Step(thought, reply),), tools=tools, metadata={"says": says}
    )
