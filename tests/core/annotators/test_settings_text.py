"""Settings as a line of text: what they mean, and refusals that stay short whatever was pasted."""

from __future__ import annotations

import pytest

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.settings_text import parse_settings

CANNY = ANNOTATORS["canny"]
LONG = "x" * 10_000_000


def test_settings_are_read_by_comma_or_line():
    assert parse_settings(CANNY, "low=50, high = 150\nblur_sigma=1.5") == {"low": 50, "high": 150, "blur_sigma": 1.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LONG, "settings hold 'xxx.*expected name=value"),
        (f"{LONG}=1", "no parameter is called 'xxx.*known are: low"),
        (f"low={LONG}", "low is 'xxx.*expected a whole number"),
        (f"low={'9' * 4000}", "low is 999.*expected a whole number"),
        (f"low=1, low={LONG}", "settings name low twice"),
    ],
)
def test_a_refusal_is_short_whatever_was_pasted(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        parse_settings(CANNY, text)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("name", ["lineart", "scribble", "depth"])
def test_every_kind_of_setting_refuses_in_few_words(name):
    for param in ANNOTATORS[name].params:
        with pytest.raises(ValueError, match=param.name) as caught:
            ANNOTATORS[name].check(**{param.name: LONG})
        assert len(str(caught.value)) < 500
