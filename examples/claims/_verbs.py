"""A corpus of English verb forms: 120 lemmas with five forms each, written out here."""

import numpy as np

CELLS = ("plain", "third person", "past", "participle", "ing")
LETTERS, LENGTH = 27, 8  # 26 and the end; the longest form

_IRREGULAR = """
take took taken, see saw seen, make made made, know knew known, come came come, give
gave given, find found found, tell told told, get got got, write wrote written, keep
kept kept, sweep swept swept, bring brought brought, run ran run, hold held held,
stand stood stood, hear heard heard, meet met met, pay paid paid, sit sat sat, speak
spoke spoken, lead led led, read read read, grow grew grown, lose lost lost, fall fell
fallen, send sent sent, build built built, draw drew drawn, break broke broken, spend
spent spent, cut cut cut, rise rose risen, drive drove driven, buy bought bought, wear
wore worn, choose chose chosen, eat ate eaten, throw threw thrown, win won won, catch
caught caught, teach taught taught, fly flew flown, blow blew blown, sing sang
sung, sell sold sold, fight fought fought, ride rode ridden, hide hid hidden, drink
drank drunk, shake shook shaken, hang hung hung, sleep slept slept, steal stole
stolen, feed fed fed, freeze froze frozen, swim swam swum, ring rang rung, sink sank
sunk, lend lent lent
"""
_REGULAR = """
look use want ask need play move like live help talk turn start show work call try
open walk offer love wait stay cover stop add allow reach watch carry pass study
close visit plan drop order hope jump wash cook enjoy laugh save push clean cry
paint worry fix smile dance bake miss marry hurry rain beg pray mix
"""
# Getting, planned.
_DOUBLED = ("get", "run", "sit", "cut", "win", "stop", "plan")
_DOUBLED += ("drop", "swim", "beg")


def forms(lemma: str, past: str = "", participle: str = "") -> tuple[str, ...]:
    """Return the five forms; the past of a regular verb by rule."""
    stem = lemma + lemma[-1] if lemma in _DOUBLED else lemma
    if lemma[-1] == "y" and lemma[-2] not in "aeiou":
        third, regular = lemma[:-1] + "ies", lemma[:-1] + "ied"
    else:
        hissing = lemma.endswith(("s", "x", "z", "ch", "sh", "o"))
        third = lemma + ("es" if hissing else "s")
        regular = stem + ("d" if lemma[-1] == "e" else "ed")
    silent = lemma[-1] == "e" and lemma[-2] != "e"
    ing = (stem[:-1] if silent else stem) + "ing"
    return lemma, third, past or regular, participle or regular, ing


def lemmas() -> list[tuple[str, ...]]:
    """Return the forms of every lemma, irregular and regular ones in turn."""
    irregular = [forms(*words.split()) for words in _IRREGULAR.split(",")]
    regular = [forms(lemma) for lemma in _REGULAR.split()]
    return [one for pair in zip(irregular, regular, strict=True) for one in pair]


def letters() -> np.ndarray:
    """Return every form as letters, ``[lemma, cell, position]``; 0 is the end."""
    table = np.zeros((len(lemmas()), len(CELLS), LENGTH), np.int32)
    for row, words in zip(table, lemmas(), strict=True):
        for spelled, word in zip(row, words, strict=True):
            spelled[: len(word)] = [ord(letter) - ord("a") + 1 for letter in word]
    return table


def frequencies() -> np.ndarray:
    """Return how often each lemma comes, by Zipf's law, ``[lemma]``."""
    weights = 1 / np.arange(1, len(lemmas()) + 1)
    return weights / weights.sum()
