"""What of a prompt reaches the model, and what is named as lost."""

from __future__ import annotations

from zeroctl_core.demo.words import MAX_TOKENS, NUMBERS, WORDS, tokenise
from zeroctl_core.demo.world import scenes


def test_a_caption_is_known_word_by_word():
    for one in scenes(1, 0, 50):
        tokens = tokenise(one.caption)
        assert not tokens.unknown and not tokens.cut
        words = [WORDS[n] for n in tokens.numbers]
        assert words[0] == "<bos>" and " ".join(words[1:8]) == one.caption and set(words[8:]) == {"<eos>"}


def test_the_empty_prompt_is_begin_and_end():
    assert tokenise("").numbers == (0, *[1] * (MAX_TOKENS - 1))
    assert tokenise(" ,. ").numbers == tokenise("").numbers


def test_case_and_punctuation_do_not_matter():
    assert tokenise("A RED star, on a Blue background!").numbers == tokenise("a red star on a blue background").numbers


def test_unknown_words_are_named_once_and_left_out():
    tokens = tokenise("a photo of a red photo star")
    assert tokens.unknown == ("photo", "of")
    assert tokens.numbers == tokenise("a a red star").numbers


def test_words_beyond_the_last_place_are_named():
    tokens = tokenise("red " * 11 + "star")
    assert tokens.cut == ("red", "star")
    assert (
        len(tokens.numbers) == MAX_TOKENS and tokens.numbers[1:11] == (NUMBERS["red"],) * 10 and tokens.numbers[11] == 1
    )
