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
Hi, I am {n}.|Good day|Hey, what's up?|
Hey you|Hi everybody|How do you do?|What is Ponder?|How can you help me?|Hi there, I am {n}|What are you good at?|
What kind of model are you?|Hello again|Welcome|I need help|Hello hello|Hey, I am {n}, and you?|Salutations|Are you a robot?|
Can you help me?|Good night|Good to see you|Ahoy|Nice to meet you|Please introduce yourself|Hello computer|
Hi! What are you able to do?|Who made you?|What is up?|What can I ask you?|Evening|Tell me who you are|Hey, how is it going?|
Hello, how do you do?|Is anybody there?|Hello, my friend|How are things?|Morning!""")
THANK_YOUS = bank("""Thanks|Thank you|Thanks a lot|Thank you very much|Great, thanks|Many thanks|Thank you so much!|Thanks!|Cheers|That helps, thanks|
Perfect, thank you|Ok, thanks|
Super, thank you|Good job|Nice, thanks|That was helpful|Thanks for your help|Good work|Well done|Wonderful|Excellent, thanks|
I am grateful|Great work|Very good|Thank you, Ponder|Thank you for the answer|That is all, thank you|Very kind of you""")
REQUESTS = [
    "Write a poem about {a}.", "Write a story about a {a} and a {b}.", "Translate '{a}' into French.", "Tell me a joke.",
    "What do you think about {a}?", "Who won the football game last night?", "Write an essay on {a}.", "Book a flight to {n}ville.",
    "Draw a picture of a {a}.", "Summarize the news.", "What is the weather today?", "Sing a song about {a}.", "Give me a recipe for {a} soup.",
    "What is the meaning of life?", "Recommend a movie about {a}.", "Send an email to {n}.", "Write a letter to {n} about the {a}.",
    "Who is the president?", "What is love?", "Explain quantum mechanics.", "Tell me something about {a}s.", "What is the best {a}?",
    "Can you help me write a speech about {a}?", "Translate this sentence into German: the {a} is on the {b}.", "Set an alarm for tomorrow.",
    "Play some music.", "Which {a} should I buy?", "Describe a {a} in three sentences.", "Why is the sky blue?", "What happened in the news today?",
    "How do I become a {a}?", "Invent a name for my {a}.", "Write a haiku about the {a}.", "Order a {a} for me.",
    "What is the stock price of {n} Inc.?", "Is it going to rain tomorrow?", "Write a song about {n}.", "Make a plan for my holiday.",
    "Do you like {a}?", "Give me advice about my {a}.", "Explain {a} to a child.", "Rewrite this text in a friendly way: the {a} is late.",
    "Who wrote the best novel about a {a}?", "Tell me a fun fact.", "Can you call {n}?", "What should I eat tonight?", "How do I cook {a}?",
    "Write a review of a {a}.", "Write a slogan for a {a}.", "Write a speech for {n}.", "Download the {a} song.", "How do I clean a {a}?",
    "What is on television tonight?", "Please translate this poem.", "Set a timer.", "Do you want to be my friend?", "Are you a human?",
    "Are you smarter than {n}?", "What time is it?", "Compose a melody for {a}.", "Please draw me a {a}.", "I am sad today.", "I am bored.",
    "Play a song by {n}.", "How late is it now?", "Remind me to feed the {a}.", "Find a job for me.", "Turn off the {a}, please.",
    "How do I tell {n} that I am sorry?", "My {a} hurts.", "I love you.", "Write a text message to {n}.", "Will it snow on Sunday?",
    "Could you order a pizza?", "Send {n} a present.", "Give me a synonym for {a}.", "Can you hear the {a}?",
    "Tell me a story about {n} and the {a}.", "What is the temperature outside?", "What is the French word for {a}?",
    'Translate "{a} and {b}" into Spanish.', "Check my spelling.", "Send a message to everybody.", "Dance with me.", "Improve my text about {a}.",
    "Give me a summary of the meeting.", "Guess my name.", "Tell me a story.", "Could you write a toast for {n}'s wedding?",
    "Summarize this article about the {a}.", "Recommend a good {a}.", "Give me an idea for a party.", "Translate my letter into Italian.",
    "Show me a map of the town.", "Recommend a restaurant.", "What does {n} think of me?", "Find me a cheap hotel.", "Sing something.",
    "Compare a {a} with a {b}.", "Can you drive a car?", "Imagine that you are a {a}.", "Help me with my essay about the {a}.",
    "What should I give {n} for a birthday?", "Plan a birthday party for {n}.", "What is the date?", "Call a taxi.", "What is in the news?",
    "Sell my {a}.", "Do I need an umbrella today?", "Do you dream?", "Which book should I read next?", "What should I wear today?",
    "Describe the taste of {a}.", "Turn on the light.", "Write a headline about the {a}.", "Guess what I have in my pocket.",
    "Record a video of the {a}.", "Explain the theory of relativity.", "How can I make friends?", "Tell me a riddle.", "Is it cold outside?",
    "What is consciousness?", "Tell me how to live.", "Who won the match yesterday?", "Open my calendar.", "Can you recommend a {a}?",
    "Find a rhyme for {a}.", "Buy two tickets to the concert.", "Give me three names for a {a}.", "Help me choose between a {a} and a {b}.",
    "Please book a train to the coast.", "My {a} is broken.", "Describe yourself as a {a}.", "Post a photo of my {a}.", "How do I fix my {a}?",
    "Show me a picture of a {a}.", "Summarize this book for me.", "Draw a {a} and a {b}.", "Read this page aloud.",
    "Make this shorter: the {a} was near the {b} for a long time.", "Who is the richest person in the world?", "Describe the sunset.",
    "Write a play about two {a}s.", "I need a holiday.", "Remind me to call {n} tomorrow.", "Call {n} and say that I am late.", "Predict the future.",
    "Cure my cold.", "How do you say {a} in Japanese?", "Let's play a game.", "Write an app like a {a}.", "Paint a portrait of {n}.",
    "Can you write a book?", "Wake me up early.", "Design a logo for my {a} shop.", "Tell me what to do.", "What is happiness?",
    "Write a limerick about a {a}.", "Book a table for tonight.", "What should I cook for dinner?", "Read me a story.", "My boss is angry with me.",
    "Explain politics to me.", "Finish this sentence: the {a} and the", "What day is it today?", "What is your opinion on the {a}?",
    "Give me tips for a job interview.", "Can you see me?", "Write a love letter.", "Argue for the {a} and against the {b}.", "Do you have feelings?",
    "Which movie should I watch tonight?", "Buy a {a} for me.", "What is your favourite colour?", "Close the window.",
    "Plan a trip to the mountains.", "Book a room for {n}.", "Predict the price of gold.", "How can I sleep better?", "Open the door.",
    "I want to learn to swim.", "Who will win the election?", "Pay my rent.", "Can you keep a secret?", "Pretend to be a {a}.", "What is art?",
    "Let's talk about the {a}.", "I lost my {a}.", "Correct the grammar of this sentence: {n} have a {a}.", "Tell me the truth about the {a}.",
    "Please write a diary of a {a}.",
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
