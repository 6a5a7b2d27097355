"""What of a prompt reaches the model, how holes are filled, and what is named as lost."""

from __future__ import annotations

import pytest
import torch

from zeroctl_core.demo.text import TextEncoder
from zeroctl_core.demo.words import (
    GENERAL,
    MAX_TOKENS,
    NUMBERS,
    VOCABULARY,
    WORDS,
    nearest,
    tokenise,
    unknown_message,
    words_of,
)
from zeroctl_core.demo.world import scenes


def read(text: str) -> str:
    """The words that the model gets."""
    words = [VOCABULARY[n] for n in tokenise(text).numbers]
    assert words[0] == "<bos>"
    return " ".join(word for word in words[1:] if word != "<eos>")


def test_a_caption_is_known_word_by_word():
    for one in scenes(1, 0, 50):
        tokens = tokenise(one.caption)
        assert not tokens.unknown and not tokens.cut and not tokens.read_as
        assert read(one.caption) == one.caption and len(tokens.numbers) == MAX_TOKENS
        assert tokens.places == tuple(range(7))


def test_the_empty_prompt_is_begin_and_end():
    assert tokenise("").numbers == (0, *[1] * (MAX_TOKENS - 1))
    assert tokenise(" ,. ").numbers == tokenise("").numbers


def test_case_and_punctuation_do_not_matter():
    assert tokenise("A RED star, on a Blue background!").numbers == tokenise("a red star on a blue background").numbers


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a red cat on a blue background", "a red thing on a blue background"),
        ("a red fluffy cat with a hat on a blue background", "a red thing on a blue background"),
        ("a photo of a red photo star", "a red star"),
        ("a photo of a cat", "a coloured thing"),
        ("red dragonfly", "red thing"),
        ("a red star on grass", "a red star on background"),
        ("a red star on a blue table, best quality", "a red star on a blue background"),
        ("a red star on a blue background, masterpiece", "a red star on a blue background"),
        ("an orange star on a blue background", "coloured star on a blue background"),
        ("a square on a cyan background", "a coloured square on a cyan background"),
        ("a coloured thing on a cyan background", "a coloured thing on a cyan background"),
        ("blurry, low quality", ""),
        ("on a red background", "on a red background"),
    ],
)
def test_no_unknown_word_leaves_a_hole(text, sentence):
    assert read(text) == sentence


@pytest.mark.parametrize("noun", ["cat", "Katze", "fir-tree", "T", "42", "\N{CJK UNIFIED IDEOGRAPH-732B}"])
@pytest.mark.parametrize("colour", ["red", "cyan"])
def test_whatever_the_noun_it_is_a_thing(noun, colour):
    tokens = tokenise(f"a {colour} {noun} on a white background")
    assert tokens.numbers == tokenise(f"a {colour} thing on a white background").numbers
    assert list(tokens.read_as.values()) == ["thing"]


def test_unknown_words_are_named_once_with_what_became_of_them_and_the_nearest_words_first():
    tokens = tokenise("a photo of a red photo sqare on a blu background")
    assert tokens.unknown == ("photo", "of", "sqare", "blu")
    message = unknown_message(tokens)
    assert message.startswith(
        "the model does not know 'photo' (left out), 'of' (left out), 'sqare' (read as 'thing'), "
    )
    assert "'blu' (left out)" in message
    assert set(message.split("nearest first: ")[1].split(", ")[:2]) == {"square", "blue"}
    assert unknown_message(tokenise("a red star")) == ""


def test_all_words_are_named_the_nearest_first():
    assert nearest(["stars"])[0] == "star" and nearest(["greenish"])[0] == "green"
    assert sorted(nearest(["x"])) == sorted(VOCABULARY[2:])


def test_places_name_the_words_that_a_weight_is_for():
    text = "a shiny star on grass"
    tokens = tokenise(text)
    words = words_of(text)
    assert [None if place is None else words[place] for place in tokens.places] == ["a", None, "star", "on", "grass"]


def test_words_beyond_the_last_place_are_named():
    tokens = tokenise("red " * 11 + "star")
    assert tokens.cut == ("red", "star")
    assert (
        len(tokens.numbers) == MAX_TOKENS and tokens.numbers[1:11] == (NUMBERS["red"],) * 10 and tokens.numbers[11] == 1
    )


def test_a_general_word_has_the_mean_vector_of_its_words_and_needs_no_weights():
    encoder = TextEncoder()
    assert encoder.state_dict()["token_embedding.weight"].shape[0] == len(WORDS)
    vectors = encoder.vectors()
    assert torch.equal(vectors[: len(WORDS)], encoder.token_embedding.weight)
    for word, words in GENERAL.items():
        mean = torch.stack([vectors[NUMBERS[one]] for one in words]).mean(0)
        assert torch.allclose(vectors[NUMBERS[word]], mean, atol=1e-6)
