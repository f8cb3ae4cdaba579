"""The text that both models read: everyday sentences, facts of colour, and stories that can only be ended by memory.

A story is "Tom is a cat. (0 to 60 words of other sentences.) Tom's favorite food is fish." Among the other sentences are some about
other people's animals and food, so that remembering the last animal does not do. What is held out: every pair of
name and distance with held_out(name, distance), and the sentences that fill those stories.
"""
import gzip
import random
import zlib

import regex

START, UNK = "<s>", "<unk>"
MAX_DISTANCE = 60
ELSE = 0.2  # so often a sentence of the filling gives way to one of four words, of which half are about another animal or food

FOODS = {"cat": "fish", "dog": "meat", "rabbit": "carrots", "mouse": "cheese", "monkey": "bananas", "panda": "bamboo",
         "bear": "honey", "squirrel": "nuts", "cow": "grass", "horse": "apples", "bird": "seeds", "frog": "flies",
         "pig": "corn", "duck": "bread", "chicken": "worms", "turtle": "lettuce", "sheep": "clover", "goat": "leaves",
         "owl": "mice", "tiger": "deer", "koala": "eucalyptus", "parrot": "fruit", "hamster": "grain", "seal": "squid"}
COLORS = {"apple": "red", "tomato": "red", "cherry": "red", "strawberry": "red", "blood": "red", "banana": "yellow",
          "lemon": "yellow", "butter": "yellow", "grass": "green", "leaf": "green", "cucumber": "green", "frog": "green",
          "snow": "white", "milk": "white", "salt": "white", "coal": "black", "night": "black", "sky": "blue",
          "ocean": "blue", "carrot": "orange", "chocolate": "brown", "pig": "pink"}
NAMES = """Tom Mary John Jim Jane Mike Ken Bob Bill Nancy Betty Kate Lucy Emily Alice Jack George Peter Paul Mark Susan Linda
Helen Anna Ann Judy Meg Fred Henry Harry Charles David Daniel Brian Kevin Robert Richard Roger Steve Tony Sam Max Ben Leo Oscar
Felix Oliver Lily Rose Daisy Ruby Sophie Emma Olivia Grace Ella Chloe Mia Zoe Amy Carol Diana Julia Laura Lisa Maria Martha Nora
Rita Sally Sarah Vera Wendy Adam Alan Andy Carl Dan Eric Frank Gary Hugo Ian Ivan Jacob Joe Kyle Larry Louis Luke Martin Ned
Nick Otto Pat Ralph Ray Ron Simon Ted Tim Victor Walter Will""".split()

# Words (letters, marks, digits), what hangs on a word by an apostrophe, and every other character by itself: the rule of
# runtime/text/words.go.
TOKEN = regex.compile(r"(?<=[\p{L}\p{M}\p{N}])['\u2019][\p{L}\p{M}\p{N}]+|[\p{L}\p{M}\p{N}]+|\S")


def tokens(text):
    return TOKEN.findall(text)


def held_out(name, distance):
    return zlib.crc32(f"{name} {distance}".encode()) % 10 == 0


def an(word):
    return ("an " if word[0] in "aeiou" else "a ") + word


class Sentences:
    """Filler by number of words (as spaces part them), so that any distance can be met exactly."""

    def __init__(self, lines):
        avoid = set(FOODS) | set(FOODS.values()) | {"favorite"}
        opening = {f"{n} is a" for n in NAMES} | {f"{n} is an" for n in NAMES}
        self.by_length = {}
        for line in lines:
            words = line.split()
            if avoid & {t.lower() for t in tokens(line)} or " ".join(words[:3]) in opening:
                continue
            self.by_length.setdefault(len(words), []).append(line)
        self.by_length.setdefault(1, ["Yes.", "No.", "Well."])

    def fill(self, rng, distance):
        chosen, left = [], distance
        while left > 0:
            n = rng.randint(1, min(left, 10))
            if n > 4 and rng.random() < ELSE:
                n = 4
            if left - n == 1:
                n = left if left <= 10 else n - 1
            while n not in self.by_length:
                n -= 1
            if n == 4 and rng.random() < 0.5:
                chosen.append(distraction(rng))
            else:
                chosen.append(rng.choice(self.by_length[n]))
            left -= n
        return chosen


def read_everyday(path):
    """The English side of the tatoeba pairs: sentences of training, and a twentieth kept for held-out stories."""
    with gzip.open(path, "rt", encoding="utf-8") as f:
        rows = (line.rstrip("\n").split("\t") for line in f)
        lines = sorted({" ".join(row[2].split()) for row in rows if row[0] == "tatoeba"})
    train = [s for s in lines if zlib.crc32(s.encode()) % 20]
    return train, [s for s in lines if zlib.crc32(s.encode()) % 20 == 0]


def vocabulary(lines, least):
    counts = {}
    for line in lines:
        for t in tokens(line):
            counts[t] = counts.get(t, 0) + 1
    ours = [START, UNK]
    generated = set()
    for text in all_generated():
        generated.update(tokens(text))
    kept = [t for t, n in counts.items() if n >= least and t not in generated]
    return ours + sorted(generated) + sorted(kept, key=lambda t: (-counts[t], t))


def all_generated():
    for name in NAMES:
        yield f"{name} 's"
    for animal, food in FOODS.items():
        for pair in (intro(animal, i, "Tom") for i in range(4)):
            yield pair
        for i in range(3):
            yield question("Tom", i) + " " + food + "."
        for i in range(4):
            yield distraction(None, "Tom", animal, i)
    for thing in COLORS:
        for i in range(3):
            yield color(thing, i)


def intro(animal, form, name):
    return [f"{name} is {an(animal)}.", f"{name} is a little {animal}.", f"My {animal} is called {name}.",
            f"{name} is my {animal}."][form]


def question(name, form):
    return [f"{name}'s favorite food is", f"{name} likes to eat", f"Every day {name} eats"][form]


def distraction(rng, name=None, animal=None, form=None):
    """Four words about somebody else's animal or its food, which answer no question."""
    name, animal = name or rng.choice(NAMES), animal or rng.choice(sorted(FOODS))
    form = rng.randrange(4) if form is None else form
    return [f"{name} saw {an(animal)}.", f"{name} has {an(animal)}.", f"I bought some {FOODS[animal]}.",
            f"{name} likes the {animal}."][form]


def color(thing, form):
    end = f" {COLORS[thing]}."
    return [thing.capitalize() + " is" + end, f"The {thing} is" + end, f"{an(thing).capitalize()} is" + end][form]


def story(rng, sentences, distance, name=None, animal=None, plain=False):
    """The text before the food, and the food."""
    name = name or rng.choice(NAMES)
    animal = animal or rng.choice(sorted(FOODS))
    form = 0 if plain or rng.random() < 0.5 else rng.randrange(4)
    ask = 0 if plain or rng.random() < 0.7 else rng.randrange(3)
    text = [intro(animal, form, name)] + sentences.fill(rng, distance) + [question(name, ask)]
    return " ".join(text), FOODS[animal]


def held_out_stories(lines, per_distance, seed=7, step=1):
    rng = random.Random(seed)
    sentences = Sentences(lines)
    for distance in range(0, MAX_DISTANCE + 1, step):
        names = [n for n in NAMES if held_out(n, distance)]
        for i in range(per_distance):
            text, food = story(rng, sentences, distance, names[i % len(names)], plain=True)
            yield distance, text, food
