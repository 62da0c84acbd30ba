"""Cards and splits are strict: an error names the file, the key and what is allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from segbench.catalog.card import Card
from segbench.catalog.cards import card_folders, find_dataset, read_dataset
from segbench.catalog.strict import read_toml
from segbench.errors import SegbenchError

CARD = """
schema_version = 1
name = "own"
version = "1"
title = "Own"
task = "semantic"
description = "Mine."
citation = "None."
[[classes]]
id = 0
name = "background"
color = [0, 0, 0]
[[classes]]
id = 1
name = "cell"
color = [255, 255, 255]
[[sources]]
kind = "manual"
instructions = "Ask me."
[layout]
id = 'im\\d+'
image = "images/{id}.png"
mask = "masks/{id}.png"
[mask]
kind = "threshold"
above = 127
[splits]
method = "by hand"
group = "each image"
[licence]
name = "mine"
terms = "none"
"""
SPLITS = "id,split,fold,group,image_sha256,mask_sha256\nim1,train,0,g1,,\nim2,test,1,g2,,\n"


def write(folder: Path, card: str = CARD, splits: str = SPLITS) -> Path:
    own = folder / "own"
    own.mkdir()
    (own / "card.toml").write_text(card)
    (own / "splits.csv").write_text(splits)
    return own


def test_the_catalogue_reads_whole():
    names = card_folders()
    assert {"ph2", "mads", "synthetic-lesions"} <= set(names)
    for name in names:
        dataset = find_dataset(name)
        assert dataset.card.licence.terms
        assert dataset.card.splits.method
        assert {a.split for a in dataset.assignments.values()} == {"train", "val", "test"}


def test_a_good_card_is_read(tmp_path):
    dataset = read_dataset(write(tmp_path))
    assert dataset.assignments["im2"].group == "g2"
    assert dataset.card.labels[1].name == "cell"


BAD_CARDS = {
    "unknown key": (
        "\nversion =",
        "\nverion =",
        "unknown key (1): verion (do you mean version? allowed here: citation",
    ),
    "unknown key in a table": (
        "above = 127",
        "abov = 127",
        "mask.threshold.abov (do you mean above? allowed here: above, kind)",
    ),
    "unknown key in a class": (
        'name = "cell"',
        'nam = "cell"',
        "classes.1.nam (do you mean name? allowed here: background, color, id, name)",
    ),
    "missing key": ('title = "Own"', "", "missing key (1): title"),
    "wrong type": ("above = 127", 'above = "high"', "mask.threshold.above"),
    "wrong version": ("schema_version = 1", "schema_version = 2", "schema_version"),
    "unknown kind of mask": ('kind = "threshold"', 'kind = "guess"', '"one-bit"'),
    "class id too high": ("id = 1", "id = 255", "classes.1.id"),
    "class id twice": ("id = 1", "id = 0", "each once"),
    "class named as an average": ('name = "cell"', 'name = "foreground"', "name averages"),
    "class name with a bar": ('name = "cell"', 'name = "a|b"', "a class name is of the form"),
    "colour out of range": ("[255, 255, 255]", "[256, 0, 0]", "classes.1.color.0"),
    "pattern without id": ("masks/{id}.png", "masks/x.png", "expected {id}"),
    "id that is no pattern": (r"im\d+", "im(", "not a regular expression"),
    "not toml": ("[mask]", "[mask", "not readable as TOML"),
    "no mask rule": ('[mask]\nkind = "threshold"\nabove = 127\n', "", "[layout] and [mask]"),
    "reserved name": ('name = "own"', 'name = "plots"', "folders of the leaderboard"),
    "reserved name too": ('name = "own"', 'name = "site"', "folders of the leaderboard"),
    "another folder": ('name = "own"', 'name = "other"', "the two must be the same"),
}


@pytest.mark.parametrize("case", BAD_CARDS)
def test_a_faulty_card_names_file_key_and_what_is_allowed(tmp_path, case):
    old, new, words = BAD_CARDS[case]
    assert old in CARD
    own = write(tmp_path, CARD.replace(old, new))
    with pytest.raises(SegbenchError, match=re.escape(words)) as caught:
        read_dataset(own)
    assert "card.toml" in str(caught.value)


def test_every_fault_of_a_card_is_listed_at_once(tmp_path):
    own = write(tmp_path, CARD.replace('title = "Own"', "tite = 1").replace("id = 1", "id = -1"))
    with pytest.raises(SegbenchError) as caught:
        read_toml(own / "card.toml", Card)
    for words in ("tite", "missing key (1): title", "classes.1.id"):
        assert words in str(caught.value)


BAD_SPLITS = {
    "group in two splits": ("g2", "g1", "group in two splits (1): g1: im1 and im2"),
    "unknown split": ("test", "tset", "split other than train, val, test (1): im2: tset"),
    "unknown fold": (",1,", ",7,", "fold other than 0 to 4 (1): im2: 7"),
    "duplicate id": ("im2", "im1", "duplicate id (1): im1"),
    "ids that differ in case": ("im2", "IM1", "differ only in case"),
    "id with a slash": ("im2", "../im2", "id not of the form"),
    "columns": ("fold,group", "group,fold", "expected id, split, fold, group"),
    "too few values": ("im2,test,1,g2,,", "im2,test", "too few or too many values"),
}


@pytest.mark.parametrize("case", BAD_SPLITS)
def test_faulty_splits_are_refused(tmp_path, case):
    old, new, words = BAD_SPLITS[case]
    own = write(tmp_path, splits=SPLITS.replace(old, new))
    with pytest.raises(SegbenchError, match=re.escape(words)) as caught:
        read_dataset(own)
    assert "splits.csv" in str(caught.value)


def test_own_cards_are_found_by_path_and_environment(tmp_path, monkeypatch):
    own = write(tmp_path)
    assert find_dataset("own", card=own / "card.toml").card.title == "Own"
    assert find_dataset("", card=own).card.title == "Own"
    with pytest.raises(SegbenchError, match="no dataset called 'own'"):
        find_dataset("own")
    monkeypatch.setenv("SEGBENCH_CARDS", str(tmp_path))
    assert find_dataset("own").folder == own
    monkeypatch.setenv("SEGBENCH_CARDS", str(own))
    assert find_dataset("own").folder == own
    monkeypatch.setenv("SEGBENCH_CARDS", str(tmp_path / "nowhere"))
    with pytest.raises(SegbenchError, match="no such folder"):
        find_dataset("own")
