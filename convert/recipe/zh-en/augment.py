"""What the training sentences lack: names and numbers never seen, the same on both sides, so that the unknown is carried over, not guessed.

Everything is drawn from the random generator that the caller passes. No name of carry.tsv, which the model is asked afterwards, is ever made.
"""
import collections
import os
import re

from prepare import HERE, held_out_words, read_tsv

PEOPLE = {"汤姆": "Tom", "玛丽": "Mary", "约翰": "John", "杰克": "Jack", "比尔": "Bill", "鲍勃": "Bob", "简": "Jane", "南希": "Nancy"}
PLACES = {"波士顿": "Boston", "北京": "Beijing", "上海": "Shanghai", "东京": "Tokyo", "京都": "Kyoto", "巴黎": "Paris", "伦敦": "London",
          "罗马": "Rome", "柏林": "Berlin", "芝加哥": "Chicago", "日本": "Japan", "德国": "Germany", "法国": "France", "加拿大": "Canada",
          "澳大利亚": "Australia", "意大利": "Italy", "西班牙": "Spain", "澳洲": "Australia"}
PRONOUNS = {"他": "He", "她": "She"}
MONTHS = "January February March April May June July August September October November December".split()

NAME = 0.6         # so often a well-known name (PEOPLE, PLACES), and a pronoun that begins an English sentence, becomes another name
PRONOUN = 0.4
LATIN_WORD = 0.3   # so often a Latin name that stands on both sides becomes another
NEW_NUMBER = 0.4   # the same for a number
SPELLED = 0.06     # pairs that are a name or a number and nothing else, of all
TEMPLATES = 0.04   # pairs made from templates.tsv, of all


NUMBER = r"(?<![0-9])[1-9][0-9]{1,5}(?![0-9])"


def once_on_both(pattern, zh, en):
    """What occurs exactly once on either side and is the same."""
    a, b = re.findall(pattern, zh), re.findall(pattern, en)
    return [x for x in a if a.count(x) == 1 and b.count(x) == 1]


class Augment:
    def __init__(self, names, rng):
        """names: Latin names of the training text, lists of str; rng: a random.Random."""
        self.rng, self.held_out = rng, held_out_words()
        self.names = [n for n in names if n not in self.held_out]
        self.readings = collections.defaultdict(list)
        for kind, char, reading in read_tsv(os.path.join(HERE, "readings.tsv")):
            self.readings[kind].append((char, reading))
        self.templates = read_tsv(os.path.join(HERE, "templates.tsv"))
        # Letters that follow two (or one) others in names, for names that nobody has.
        self.after = collections.defaultdict(list)
        for n in self.names:
            n = "^" + n.lower() + "$"
            for i in range(1, len(n)):
                self.after[n[max(0, i - 2):i]].append(n[i])
                self.after[n[i - 1]].append(n[i])

    # Made-up things. Those on two sides are pairs (Chinese, English).

    def latin(self):
        """A Latin name: of the training text, or invented letter by letter."""
        while True:
            if self.rng.random() < 0.35:
                word = self.rng.choice(self.names)
            else:
                order, text = self.rng.choice((1, 2)), "^"
                while text[-1] != "$" and len(text) < 14:
                    text += self.rng.choice(self.after[text[-order:]])
                word = text.strip("^$").capitalize()
            if 3 <= len(word) <= 12 and word.isalpha() and word not in self.held_out:
                return word

    def syllables(self, kinds, count):
        """So many characters and what they read as together: 晓东, Xiaodong. A vowel at the start of a later syllable takes an apostrophe."""
        while True:
            drawn = [self.rng.choice(self.readings[self.rng.choice(kinds)]) for _ in range(count)]
            word = drawn[0][1] + "".join(r if r[0] not in "aoe" else "'" + r for _, r in drawn[1:])
            if word.capitalize() not in self.held_out:
                return "".join(c for c, _ in drawn), word.capitalize()

    def surname(self):
        known = self.readings["surname"]
        char, reading = known[min(int(self.rng.expovariate(1 / 60)), len(known) - 1)]  # the commonest stand first
        return char, reading.capitalize()

    def chinese_person(self):
        (a, b), (c, d) = self.surname(), self.syllables(("given", "given", "other"), 2 if self.rng.random() < 0.75 else 1)
        return a + c, f"{b} {d}"

    def person(self):
        if self.rng.random() < 0.6:
            return self.chinese_person()
        return self.latin_pair()

    def latin_pair(self):
        word = self.latin()
        return (f" {word} " if self.rng.random() < 0.5 else word), word

    def place(self):
        return self.syllables(("given", "other", "other"), 2) if self.rng.random() < 0.6 else self.latin_pair()

    def brand(self):
        word = self.latin()
        return self.rng.choice((word, word, word.upper()[:5], word + self.latin(), f"{word} {self.rng.randint(2, 20)}"))

    def digits(self, count):
        return str(self.rng.randrange(10 ** (count - 1), 10 ** count))

    def big(self):
        n = self.rng.randrange(10 ** self.rng.randint(3, 6))
        return f"{n:,}" if self.rng.random() < 0.6 else str(n)

    def decimal(self):
        whole = self.rng.randrange(10 ** self.rng.randint(1, 3))
        return f"{whole}.{self.digits(self.rng.randint(1, 2))}" if self.rng.random() < 0.6 else str(whole + 1)

    def code(self):
        letters = "".join(self.rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZ", k=self.rng.choice((1, 1, 2, 3))))
        return letters + self.digits(self.rng.randint(1, 4))

    def slots(self):
        """A value (Chinese, English) for every slot that a template may have."""
        month, r = self.rng.randrange(12), self.rng
        same = {"brand": self.brand(), "brand2": self.brand(), "code": self.code(), "int": self.digits(r.randint(1, 4)), "big": self.big(),
                "price": self.decimal(), "percent": f"{r.uniform(0, 100):.{r.randint(0, 2)}f}", "age": self.digits(r.randint(1, 2)), "age2": self.digits(r.randint(1, 2)),
                "hour": str(r.randint(1, 23)), "minute": str(r.randint(10, 59)), "day": str(r.randint(1, 31)), "month": str(month + 1),
                "year": str(r.randint(1000, 2099)), "year2": str(r.randint(1900, 2099)), "digits": self.digits(r.randint(3, 9))}
        return {k: (v, v) for k, v in same.items()} | {
            "Month": ("", MONTHS[month]), "surname": self.surname(), "person": self.person(), "person2": self.person(),
            "place": self.place(), "place2": self.place()}

    # Training pairs.

    def from_template(self):
        values, (zh, en) = self.slots(), self.rng.choice(self.templates)
        return tuple(re.sub(r"\{(\w+)\}", lambda m: values[m[1]][side], text).strip() for side, text in enumerate((zh, en)))

    def spelled(self):
        """A name or a number alone."""
        zh, en = self.rng.choice((self.chinese_person, self.chinese_person, self.chinese_person, self.place, self.place, self.latin_pair,
                                  lambda: (self.big(),) * 2, lambda: (self.decimal(),) * 2))()
        return zh.strip(), en

    def other_number(self, x, before, after):
        """A number to stand where x stood, between the characters before and after it."""
        if after == "年":
            return str(self.rng.randint(1000, 2099)) if len(x) == 4 else self.digits(len(x))
        if len(x) == 2 and ":" in before + after:
            return str(self.rng.randint(10, 23 if after == ":" else 59))
        if before in ".,:/%-+_" or after in ".,:/%-+_点分月日号时" or self.rng.random() < 0.5:
            return self.digits(len(x))
        return self.rng.choice((self.big, self.decimal, lambda: self.digits(self.rng.randint(1, 7))))()

    def carry_over(self, zh, en):
        """Exchanges numbers and names that stand on both sides for others."""
        if self.rng.random() < NEW_NUMBER:
            for x in once_on_both(NUMBER, zh, en):
                at = re.search(rf"(?<![0-9]){x}(?![0-9])", zh)
                y = self.other_number(x, zh[at.start() - 1:at.start()] or " ", zh[at.end():at.end() + 1] or " ")
                zh, en = (re.sub(rf"(?<![0-9]){x}(?![0-9])", y, text, count=1) for text in (zh, en))
        if self.rng.random() < LATIN_WORD:
            for x in once_on_both(r"(?<![A-Za-z])[A-Z][a-z]{2,11}(?![A-Za-z])", zh, en):
                y = self.latin()
                zh, en = zh.replace(x, y), en.replace(x, y)
        for known, made in ((PEOPLE, self.person), (PLACES, self.place)):
            for a, b in known.items():
                if zh.count(a) == 1 and len(re.findall(rf"\b{b}\b", en)) == 1 and self.rng.random() < NAME:
                    x, y = made()
                    zh, en = zh.replace(a, x).strip(), re.sub(rf"\b{b}\b", y, en)
        for a, b in PRONOUNS.items():
            if en.startswith(b + " ") and zh.count(a) == 1 and re.search(a + "(?![们的自])", zh) and \
                    not re.search(r"\b(he|him|his|himself|she|her|hers|herself)\b", en) and self.rng.random() < PRONOUN:
                x, y = self.person()
                zh, en = zh.replace(a, x).strip(), y + en[len(b):]
        return zh, en

    def all(self, pairs):
        """The pairs, some of them changed, and those made from nothing."""
        out = [self.carry_over(z, e) for z, e in pairs]
        out += [self.from_template() for _ in range(int(TEMPLATES * len(pairs)))]
        out += [self.spelled() for _ in range(int(SPELLED * len(pairs)))]
        for _, en in out:
            assert self.held_out.isdisjoint(re.findall(r"\w+", en)), f"a word of carry.tsv in training: {en}"
        return out
