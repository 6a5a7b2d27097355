"""What of a prompt reaches the model, how holes are filled, and what is named as lost."""

from __future__ import annotations

import pytest

from zeroctl_core.demo.words import (
    MAX_TOKENS,
    NUMBERS,
    SYNONYMS,
    WORDS,
    nearest,
    tokenise,
    unknown_message,
    words_of,
)


def test_the_empty_prompt_is_begin_and_end():
    assert tokenise("").numbers == (0, *[1] * (MAX_TOKENS - 1))
    assert tokenise(" ,. ").numbers == tokenise("").numbers


def test_case_and_punctuation_do_not_matter():
    assert tokenise("A RED star, on a Blue background!").numbers == tokenise("a red star on a blue background").numbers


@pytest.mark.parametrize("noun", ["wombat", "Katze", "T", "42", "猫"])
@pytest.mark.parametrize("colour", ["red", "cyan"])
def test_whatever_the_noun_it_is_a_thing(noun, colour):
    tokens = tokenise(f"a {colour} {noun} on a white background")
    assert tokens.numbers == tokenise(f"a {colour} thing on a white background").numbers
    assert list(tokens.read_as.values()) == ["thing"]


@pytest.mark.parametrize(
    ("text", "same_as", "unknown"),
    [
        ("a wombat on a red background", "a thing on a red background", ("wombat",)),
        ("a cat above a tame grey wombat", "a cat above a thing", ("tame", "grey", "wombat")),
        ("a big cat", "a cat", ("big",)),
        ("a cat sleeping on a marble background", "a cat on a background", ("sleeping", "marble")),
        ("on a red background a wombat", "on a red background a thing", ("wombat",)),
        ("wombat", "", ("wombat",)),
        ("a wombat next to a rocket", "a thing and a rocket", ("wombat", "next")),
        ("", "", ()),
    ],
)
def test_an_unknown_noun_is_a_thing_and_other_unknown_words_are_left_out(text, same_as, unknown):
    tokens = tokenise(text)
    assert tokens.numbers == tokenise(same_as).numbers and tokens.unknown == unknown


def test_a_synonym_and_a_plural_are_read_as_a_word_of_the_model_and_said():
    tokens = tokenise("two puppies and stars to the left of a golden donut on a white backdrop")
    assert tokens.numbers == tokenise("a dog and a star left of a yellow doughnut on a white background").numbers
    assert tokens.unknown == ("two", "puppies", "stars", "golden", "donut", "backdrop")
    assert dict(tokens.read_as) == {
        "puppies": "dog", "stars": "star", "golden": "yellow", "donut": "doughnut", "backdrop": "background"
    }  # fmt: skip
    message = unknown_message(tokens, WORDS[2:])
    assert "'two' (left out)" in message and "'donut' (read as 'doughnut')" in message


def test_every_synonym_stands_for_a_word_of_the_model_and_is_none():
    for word, read_as in SYNONYMS.items():
        assert word not in NUMBERS and read_as in NUMBERS and words_of(word) == [word]


def test_places_name_the_words_that_a_weight_is_for():
    text = "a shiny kitten above the wombat on a red background"
    tokens = tokenise(text)
    words = words_of(text)
    assert [words[place] for place in tokens.places] == ["kitten", "above", "wombat", "on", "red", "background"]


def test_unknown_words_are_named_once_with_what_became_of_them_and_the_nearest_words_first():
    tokens = tokenise("a photo of a red photo sqare on a blu background")
    assert tokens.unknown == ("photo", "sqare", "blu")
    message = unknown_message(tokens)
    assert message.startswith("the model does not know 'photo' (left out), 'sqare' (read as 'thing'), ")
    assert "'blu' (left out)" in message
    assert set(message.split("nearest first: ")[1].split(", ")[:2]) == {"square", "blue"}
    assert unknown_message(tokenise("a red star")) == ""


def test_all_words_are_named_the_nearest_first():
    assert nearest(["stars"])[0] == "star" and nearest(["greenish"])[0] == "green"
    assert sorted(nearest(["x"])) == sorted(WORDS[2:])


def test_words_beyond_the_last_place_are_named():
    tokens = tokenise("red " * (MAX_TOKENS - 1) + "star")
    assert tokens.cut == ("red", "star")
    assert tokens.numbers[1:-1] == (NUMBERS["red"],) * (MAX_TOKENS - 2) and tokens.numbers[-1] == 1
