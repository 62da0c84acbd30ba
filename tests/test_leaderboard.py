"""The leaderboard of a results folder: real entries, ranked by the real command."""

from __future__ import annotations

import datetime as dt
import json
import shutil

import numpy as np
import pytest

import segbench as sb
from segbench.board.entry import Cost, Digests, Entry, Method, Training
from segbench.board.standings import guests, standings
from segbench.board.write import masks_of, predictions_digest, write_entry
from segbench.errors import SegbenchError
from segbench.masks.encode import encode_mask

SHIFTS = {"exact": 0, "near": 3, "near-again": -3, "far": 25}


def make_entry(folder, data, name: str, shift: int, status: str = "verified"):
    """References moved sideways, as an entry."""
    dataset = sb.PreparedDataset.open(data / "synthetic-lesions")
    masks = folder / f"masks-{name}"
    masks.mkdir()
    for row in dataset.select("test"):
        moved = np.roll(dataset.read_mask(row), shift, axis=1)
        (masks / f"{row.id}.png").write_bytes(encode_mask(moved, dataset.classes))
    result = sb.evaluate(masks, dataset=dataset.name, data=data)
    read = masks_of(result, masks)
    entry = Entry(
        name=name,
        status=status,
        authors=("us",),
        date=dt.date(2026, 11, 23),
        dataset=dataset.name,
        dataset_version=dataset.version,
        split="test",
        method=Method(title=name, description="References, moved."),
        training=Training(data="none"),
        cost=Cost(parameters=1_500_000 if name == "near" else None),
        digests=Digests(
            data=result.digest,
            predictions=predictions_digest((i.id, read(i.id)) for i in result.target.items),
        ),
        segbench_version=sb.__version__,
    )
    write_entry(entry, result, read, folder / "results" / dataset.name / name)


@pytest.fixture(scope="module")
def results(tmp_path_factory, synthetic):
    folder = tmp_path_factory.mktemp("leaderboard")
    for name, shift in SHIFTS.items():
        make_entry(folder, synthetic, name, shift)
    make_entry(folder, synthetic, "copied", 1, status="reported")
    return folder / "results"


def test_tiers_ranks_and_statuses(results):
    verified, reported = sorted(standings(results), key=lambda s: s.status, reverse=True)
    assert [p.name for p in reported.ranking.places] == ["copied"]
    assert reported.status == "reported"
    ranking = verified.ranking
    places = {place.name: place for place in ranking.places}
    assert next(place.name for place in ranking.places) == "exact"
    assert places["exact"].tier == 1
    assert places["exact"].probabilities[0] == 1
    assert places["near"].tier == places["near-again"].tier == 2  # equally good: never told apart
    assert places["far"].tier == 3
    assert places["far"].rank == 4
    assert [places[name].wins for name in ("exact", "far")] == [3, 0]
    assert places["far"].rank_ci95 == (4, 4)
    np.testing.assert_allclose(sum(p.mean_rank for p in ranking.places), 10)
    for place in ranking.places:
        assert sum(place.probabilities) == pytest.approx(1)
    assert np.isnan(np.diag(ranking.p_holm)).all()
    np.testing.assert_array_equal(ranking.differences, -ranking.differences.T)


def test_a_reported_entry_stands_where_it_would_and_is_not_ranked(results, segbench):
    verified, reported = sorted(standings(results), key=lambda s: s.status, reverse=True)
    (alone,) = reported.ranking.places
    assert alone.tier == 0
    assert np.isnan(alone.probabilities).all()
    assert "nothing to rank it among" in reported.ranking.notes[-1]
    (guest,) = guests(verified, (verified, reported))
    assert guests(reported, (verified, reported)) == ()
    assert guest.words == "would stand 2 of 5 among the verified entries"
    lines = segbench("leaderboard", "--results", results).out.splitlines()
    (exact,) = [i for i, line in enumerate(lines) if line.split()[:2] == ["1", "exact"]]
    told = [line for line in lines[exact : exact + 3] if "(copied, reported)" in line]
    assert len(told) == 1
    assert told[0].split()[0] == "-"


def test_lower_is_better_for_distances(results):
    (verified, _) = sorted(standings(results, measure="hd95"), key=lambda s: s.status, reverse=True)
    assert next(p.name for p in verified.ranking.places) == "exact"
    assert [p.name for p in verified.ranking.places][-1] == "far"
    assert verified.ranking.places[0].wins == 3


def test_the_command(results, segbench):
    ran = segbench("leaderboard", "--results", results)
    assert ran.code == 0, ran.err
    assert "synthetic-lesions@1 test, verified - 24 images in 24 groups" in ran.out
    assert "1.50 M" in ran.out
    ran = segbench("leaderboard", "--results", results, "--sort", "nsd", "--json")
    found = json.loads(ran.out)
    assert {s["status"] for s in found} == {"verified", "reported"}
    verified = next(s for s in found if s["status"] == "verified")
    assert verified["measure"].startswith("nsd|class:lesion|over:images|")
    assert verified["entries"][0]["name"] == "exact"
    assert set(verified["entries"][0]["p_holm"]) == set(SHIFTS) - {"exact"}


def test_refusals(results, tmp_path, segbench):
    for arguments, said in (
        (["--results", tmp_path / "none"], "no such folder"),
        (
            ["--results", results, "--dataset", "ph2"],
            "there are scored entries of synthetic-lesions",
        ),
        (["--results", results, "--sort", "dicee"], "no score 'dicee'"),
    ):
        ran = segbench("leaderboard", *arguments)
        assert ran.code == 1
        assert said in ran.err
    shutil.copytree(results, tmp_path / "results")
    shutil.move(tmp_path / "results" / "synthetic-lesions", tmp_path / "results" / "ph2")
    with pytest.raises(SegbenchError, match="an entry of synthetic-lesions in ph2/"):
        standings(tmp_path / "results")
