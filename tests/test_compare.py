"""`segbench compare` and what it reads: real scores folders, every refusal, the whole command."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from itertools import permutations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import segbench
from segbench.errors import SegbenchError
from segbench.measures import Options
from segbench.report.comparison import comparison_figure
from segbench.scoring.comparable import HANDLING
from segbench.scoring.compare import compare
from segbench.scoring.comparison_files import write_comparison
from segbench.scoring.evaluate import evaluate
from segbench.scoring.files import write_evaluation
from segbench.scoring.stored import read_scores
from segbench.scoring.tally import Policy

N = 24


def masks(seed: int, *, wrong: float, classes: int = 2, n: int = N) -> tuple[dict, dict]:
    """References and predictions that are wrong in a share of the pixels, which varies."""
    rng = np.random.default_rng(7)
    truth = {f"i{k:02d}": np.kron(rng.integers(0, classes, (4, 4)), np.ones((4, 4), int))
             for k in range(n)}  # fmt: skip
    rng = np.random.default_rng(seed)
    guess = {
        name: np.where(rng.random(mask.shape) < wrong * rng.random(), (mask + 1) % classes, mask)
        for name, mask in truth.items()
    }
    return truth, guess


def evaluated(seed: int, *, wrong: float, classes: int = 2, n: int = N, **options):
    truth, guess = masks(seed, wrong=wrong, classes=classes, n=n)
    names = ["background", "lesion", "hair"][:classes]
    return segbench.evaluate(guess, references=truth, class_names=names, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three entries of one dataset: a is better than b, c is as good as b."""
    root = tmp_path_factory.mktemp("scores")
    for name, seed, wrong in (("a", 1, 0.2), ("b", 2, 0.5), ("c", 3, 0.5)):
        write_evaluation(evaluated(seed, wrong=wrong), root / name)
    return root


@pytest.fixture
def copies(folders, tmp_path):
    """The same folders, to damage."""
    shutil.copytree(folders, tmp_path / "scores")
    return tmp_path / "scores"


def edit(folder, **changes):
    path = folder / "scores.json"
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps({k: v for k, v in content.items() if v != "(drop)"}))


def edit_scores(folder, change):
    content = json.loads((folder / "scores.json").read_text())
    edit(folder, scores=[change(score) for score in content["scores"]])


def edit_rows(folder, change):
    path = folder / "rows.parquet"
    pq.write_table(change(pq.read_table(path)), path)


def with_column(rows, name, change):
    values = change(rows[name].to_pylist())
    index = rows.column_names.index(name)
    return rows.set_column(index, name, pa.array(values, rows.schema.field(name).type))


# --- what cannot be compared ---

DIFFERENT = [
    ({"dataset": "other"}, "different dataset (1): {name} in a, other in b"),
    ({"dataset_version": "2"}, "different dataset version (1): 0 in a, 2 in b"),
    ({"split": "val"}, "different split (1): split all in a, split val in b"),
    ({"split": "(drop)", "fold": 0}, "different split (1): split all in a, fold 0 in b"),
    ({"split_digest": "0" * 64}, "different split digest (1): {digest} in a, " + "0" * 64),
]


@pytest.mark.parametrize(("changes", "message"), DIFFERENT, ids=[str(c) for c, _ in DIFFERENT])
def test_entries_of_different_data_are_refused(copies, changes, message):
    head = json.loads((copies / "a/scores.json").read_text())
    edit(copies / "b", **changes)
    with pytest.raises(SegbenchError) as refused:
        compare(copies / "a", copies / "b")
    expected = message.format(name=head["dataset"], digest=head["split_digest"])
    assert str(refused.value).startswith("these entries cannot be compared\n")
    assert expected in str(refused.value)


def test_everything_that_differs_is_listed_for_every_entry(copies):
    edit(copies / "b", dataset="other", dataset_version="3")
    edit(copies / "c", split="val")
    with pytest.raises(SegbenchError) as refused:
        compare(copies / "a", copies / "b", copies / "c")
    for part in ("in a, other in b", "0 in a, 3 in b", "split all in a, split val in c"):
        assert part in str(refused.value)


def test_other_classes_are_refused(folders, tmp_path):
    truth, guess = masks(1, wrong=0.2)
    result = segbench.evaluate(guess, references=truth, class_names=["background", "mole"])
    write_evaluation(result, tmp_path / "m")
    wanted = "different classes .*background, lesion in a, background, mole in m"
    with pytest.raises(SegbenchError, match=wanted):
        compare(folders / "a", tmp_path / "m")


def test_other_samples_of_the_same_digest_are_refused(copies):
    edit_rows(copies / "b", lambda t: with_column(t, "id", lambda v: ["x", "x", *v[2:]]))
    with pytest.raises(SegbenchError, match=r"different samples .*i00 only in a; x only in b"):
        compare(copies / "a", copies / "b")


def test_other_reference_pixels_are_refused(folders, tmp_path):
    truth, guess = masks(1, wrong=0.2)
    truth["i05"] = 1 - truth["i05"]
    write_evaluation(
        segbench.evaluate(guess, references=truth, class_names=["background", "lesion"]),
        tmp_path / "x",
    )
    digest = json.loads((folders / "a/scores.json").read_text())["split_digest"]
    edit(tmp_path / "x", split_digest=digest)
    with pytest.raises(SegbenchError, match=r"different reference pixels \(1\): i05: "):
        compare(folders / "a", tmp_path / "x")


def test_other_options_are_refused(folders, tmp_path):
    write_evaluation(evaluated(2, wrong=0.5, options=segbench.Options(empty="1")), tmp_path / "b")
    wanted = r"different empty in the signature \(1\): nan in a, 1 in b\n +score both with"
    with pytest.raises(SegbenchError, match=wanted):
        compare(folders / "a", tmp_path / "b")


def test_other_versions_are_refused(copies):
    edit_scores(
        copies / "b", lambda s: s | {"signature": s["signature"].rpartition("|v:")[0] + "|v:9"}
    )
    wanted = f"different segbench version in the signature .*{segbench.__version__} in a, 9 in b"
    with pytest.raises(SegbenchError, match=wanted):
        compare(copies / "a", copies / "b")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["a"], {}, "1 scores folder given; expected two or more"),
        (["a", "b", "a/../a"], {}, "given twice; expected different"),
        (["a", "b"], {"measure": "dise"}, "a has no score 'dise'; do you mean dice.; there are iou, "),
        (["a", "b"], {"measure": "dice|class:mole"},
         r"a has no score dice\|class:mole\|over:images; there are\n +dice\|class:background"),
        (["a", "b"], {"measure": "thresholded_iou|over:dataset"}, "has no score thresholded_iou"),
        (["a", "b"], {"by": ["colour"]}, "--by colour: .* there are width, height, size"),
        (["a", "b"], {"interval": "t"}, "interval 't'; expected percentile or bca"),
    ],
)  # fmt: skip
def test_wrong_questions_are_refused(folders, arguments, options, message):
    with pytest.raises(SegbenchError, match=message):
        compare(*(folders / name for name in arguments), **options)


# --- what is compared ---


def test_a_pair_is_told_apart_by_hand(folders):
    result = segbench.compare(folders / "a", folders / "b")
    (pair,) = result.pairs
    values = {}
    for name, seed, wrong in (("a", 1, 0.2), ("b", 2, 0.5)):
        evaluation = evaluated(seed, wrong=wrong)
        values[name] = evaluation.table.per_image(evaluation.score("dice").measure)
        (entry,) = (e for e in result.entries if e.name == name)
        assert entry.score.value == evaluation.score("dice").value
        assert entry.score.ci95 == pytest.approx(evaluation.score("dice").ci95)
    apart = values["a"] - values["b"]
    assert pair.value == pytest.approx(apart.mean())
    rng = np.random.Generator(np.random.PCG64(0))
    drawn = rng.integers(0, N, (10_000, N))
    replicates = apart[drawn].mean(axis=1)
    assert pair.ci95 == pytest.approx(tuple(np.quantile(replicates, (0.025, 0.975))))
    assert pair.a_better == pytest.approx((replicates > 0).mean(), abs=1e-3)
    assert pair.p < 0.01
    assert pair.p_wilcoxon < 0.01
    assert pair.p == pair.p_holm
    assert pair.n_defined == (N, 0, 0, 0)
    shown = pair.most_different()
    assert len(shown) == 10
    k = int(np.abs(apart).argmax())
    assert shown[0] == (f"i{k:02d}", values["a"][k], values["b"][k])


def test_the_order_of_entries_turns_the_sign_alone(folders):
    for measure in ("dice", "iou|over:dataset", "mcc|class:all"):
        forth = compare(folders / "a", folders / "b", measure=measure)
        back = compare(folders / "b", folders / "a", measure=measure)
        (one,), (other,) = forth.pairs, back.pairs
        assert one.value == pytest.approx(-other.value)
        assert one.p == pytest.approx(other.p)
        assert one.ci95 == pytest.approx((-other.ci95[1], -other.ci95[0]))
        assert one.a_better == pytest.approx(1 - other.a_better)


def test_three_entries_are_adjusted_and_bca_differs(folders):
    result = compare(folders / "a", folders / "b", folders / "c", interval="bca")
    assert [(p.a, p.b) for p in result.pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    least = min(p.p for p in result.pairs)
    assert min(p.p_holm for p in result.pairs) == pytest.approx(3 * least)
    assert result.pairs[2].p_holm == result.pairs[2].p > 0.05
    plain = compare(folders / "a", folders / "b", folders / "c")
    assert plain.pairs[0].ci95 != result.pairs[0].ci95
    assert plain.entries[0].score.ci95 != result.entries[0].score.ci95


def test_pooled_measures_are_differences_of_pooled_scores(folders):
    result = compare(folders / "a", folders / "b", measure="dice|over:dataset")
    (pair,) = result.pairs
    scores = [evaluated(seed, wrong=w).score("dice", over="dataset")
              for seed, w in ((1, 0.2), (2, 0.5))]  # fmt: skip
    assert pair.value == pytest.approx(scores[0].value - scores[1].value)
    assert [e.score.value for e in result.entries] == [score.value for score in scores]
    assert math.isnan(pair.p_wilcoxon)
    assert pair.p < 0.01
    assert pair.most_different()


def test_several_classes_are_compared_over_classes(tmp_path):
    for name, seed, wrong in (("a", 1, 0.2), ("b", 2, 0.6)):
        write_evaluation(evaluated(seed, wrong=wrong, classes=3), tmp_path / name)
    result = compare(tmp_path / "a", tmp_path / "b")
    assert str(result.measure) == "dice|class:foreground|over:classes|empty:nan"
    table = read_scores(tmp_path / "a").table
    dice = [table.per_image(segbench.parse(f"dice|class:{name}|over:images"))
            for name in ("lesion", "hair")]  # fmt: skip
    first = {name: a for name, a, _ in result.pairs[0].images}
    assert first["i00"] == pytest.approx(np.nanmean([d[0] for d in dice]))


def grouped(evaluation, n_groups):
    """The same evaluation of images that form groups."""
    n = len(evaluation.table)
    names = [f"g{k * n_groups // n}" for k in range(n)]
    items = tuple(
        replace(item, group=group, columns={**item.columns, "group": group, "site": group < "g4"})
        for item, group in zip(evaluation.target.items, names, strict=True)
    )
    return replace(
        evaluation,
        target=replace(evaluation.target, items=items),
        table=replace(evaluation.table, groups=np.array(names)),
    )


def test_nine_groups_are_swapped_whole_and_it_says_what_that_can_show(tmp_path):
    for name, seed, wrong in (("a", 1, 0.1), ("b", 2, 0.7)):
        write_evaluation(grouped(evaluated(seed, wrong=wrong), 9), tmp_path / name)
    result = compare(tmp_path / "a", tmp_path / "b", by=["site"])
    (pair,) = result.pairs
    assert pair.exact
    assert pair.n_groups == 9
    assert pair.p == pair.p_smallest == 1 / 256
    assert result.notes[0] == (
        "only 9 groups: with fewer than 20 intervals are too narrow and tests weak"
    )
    assert "2^9 = 512 ways" in result.notes[1]
    assert "no two-sided p-value can be under 2/512 = 0.0039" in result.notes[1]
    assert {k: d[0].n_groups for k, d in result.subgroups["site"].items()} == {
        "True": 4,
        "False": 5,
    }


def test_other_groups_are_refused(tmp_path):
    write_evaluation(grouped(evaluated(1, wrong=0.2), 9), tmp_path / "a")
    write_evaluation(grouped(evaluated(2, wrong=0.2), 8), tmp_path / "b")
    with pytest.raises(SegbenchError, match=r"different groups \(1\): i03: g1 in a, g1 in b|g"):
        compare(tmp_path / "a", tmp_path / "b")


def test_undefined_images_are_counted_and_do_not_hide_false_positives(tmp_path):
    """Of six images four are empty; b finds something on two of these."""
    truth = {f"i{k}": np.full((4, 4), int(k < 2)) for k in range(6)}
    sure = {k: v.copy() for k, v in truth.items()}
    wrong = {k: v.copy() for k, v in truth.items()}
    wrong["i2"][0, 0] = wrong["i3"][0, 0] = 1
    for name, guess in (("a", sure), ("b", wrong)):
        write_evaluation(segbench.evaluate(guess, references=truth), tmp_path / name)
    (pair,) = compare(tmp_path / "a", tmp_path / "b").pairs
    assert pair.n_defined == (2, 0, 2, 2)
    assert pair.value == pytest.approx(1.0 - 0.5)
    # swapped alone, i2 or i3 makes the means 2/3 and 2/3; both or none leave 1 and 1/2
    assert pair.p == pytest.approx(0.5)
    assert pair.p_wilcoxon == 1.0  # on the two images that both have


def test_missing_predictions_are_compared_and_said(folders, tmp_path):
    truth, guess = masks(2, wrong=0.5)
    del guess["i01"]
    result = segbench.evaluate(
        guess, references=truth, class_names=["background", "lesion"],
        policy=Policy(missing="worst"),
    )  # fmt: skip
    write_evaluation(result, tmp_path / "b")
    digest = json.loads((folders / "a/scores.json").read_text())["split_digest"]
    assert json.loads((tmp_path / "b/scores.json").read_text())["split_digest"] == digest
    compared = compare(folders / "a", tmp_path / "b")
    assert "missing predictions score the worst value: b (worst); not the others" in compared.notes
    assert {name: b for name, _, b in compared.pairs[0].images}["i01"] == 0.0


def test_the_same_predictions_are_not_told_apart(folders, tmp_path):
    shutil.copytree(folders / "a", tmp_path / "again" / "a")
    result = compare(folders / "a", tmp_path / "again" / "a")
    (pair,) = result.pairs
    assert (pair.a, pair.b) == (f"{folders.name}/a", "again/a")
    assert (pair.value, pair.ci95, pair.p, pair.a_better) == (0.0, (0.0, 0.0), 1.0, 0.5)
    assert pair.most_different() == ()


# --- the command ---


def test_marks_in_the_table_are_explained_where_they_occur(segbench, tmp_path, folders):
    for name, seed, wrong in (("a", 1, 0.1), ("b", 2, 0.7)):
        write_evaluation(grouped(evaluated(seed, wrong=wrong), 9), tmp_path / name)
    ran = segbench("compare", tmp_path / "a", tmp_path / "b", "--measure", "dice|over:dataset")
    assert ran.code == 0, ran.err
    words = " ".join(ran.out.split())
    assert "p Wilcoxon -: the measure is no mean over images" in words
    assert "0.0039 (smallest)" in words
    assert "(smallest): the smallest p that swaps of these groups can give" in words
    plain = segbench("compare", folders / "a", folders / "b").out
    assert "(smallest):" not in plain
    assert "p Wilcoxon -:" not in plain


def test_the_command_writes_table_json_and_pictures(segbench, folders, tmp_path):
    out = tmp_path / "cmp"
    ran = segbench("compare", folders / "a", folders / "b", "--by", "width", "--out", out)
    assert ran.code == 0, ran.err
    assert ran.err == ""
    (pair,) = compare(folders / "a", folders / "b").pairs
    for text in ("24 images in 24 groups", f"{pair.value:+.4f}", "p Wilcoxon", "differ most: ",
                 "10,000 random swaps of whole images", "differences by size"):  # fmt: skip
        assert text in ran.out
    assert sorted(p.name for p in out.iterdir()) == [
        "comparison.json", "comparison.png", "comparison.svg"]  # fmt: skip
    stored = json.loads((out / "comparison.json").read_text())
    assert stored["pairs"][0]["difference"] == pair.value
    assert stored["pairs"][0]["p_permutation"] == pair.p
    assert stored["interval"]["unit"] == "image"
    with Image.open(out / "comparison.png") as picture:
        assert picture.width == 2000
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 50


def test_a_comparison_draws_the_same_bytes_each_time(folders, tmp_path):
    result = compare(folders / "a", folders / "b", by=["width"])
    for name in ("one.svg", "two.svg"):
        comparison_figure(result, tmp_path / name)
    first = (tmp_path / "one.svg").read_bytes()
    assert first == (tmp_path / "two.svg").read_bytes()
    assert b"<dc:date>" not in first


def test_the_command_prints_json_of_three(segbench, folders, tmp_path):
    picture = tmp_path / "three.svg"
    ran = segbench("compare", *(folders / n for n in "abc"), "--json", "--interval", "bca",
                   "--measure", "iou|class:lesion|over:dataset", "--out", picture)  # fmt: skip
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["measure"] == "iou|class:lesion|over:dataset|empty:nan"
    assert len(found["pairs"]) == 3
    assert found["pairs"][0]["p_wilcoxon"] is None
    assert found["interval"]["method"] == "bca"
    assert picture.read_text().startswith("<?xml")


def test_the_command_refuses_in_words(segbench, copies, tmp_path):
    edit(copies / "b", split="val")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for arguments, message in (
        ((copies / "a", copies / "b"), "different split (1): split all in a, split val in b"),
        ((copies / "a", tmp_path), "is not a scores folder, it holds no scores.json and no rows"),
        ((copies / "a", copies / "c", "--out", tmp_path / "mine"), "holds thesis.tex, which a"),
    ):
        ran = segbench("compare", *arguments)
        assert ran.code == 1
        assert ran.err.startswith("error: ")
        assert message in ran.err
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_evaluate_says_which_interval_it_used(segbench, tmp_path):
    truth, guess = masks(1, wrong=0.3, n=6)
    for name, arrays in (("truth", truth), ("guess", guess)):
        (tmp_path / name).mkdir()
        for identifier, mask in arrays.items():
            Image.fromarray((mask * 255).astype(np.uint8)).save(
                tmp_path / name / f"{identifier}.png"
            )
    ran = segbench("evaluate", "--predictions", tmp_path / "guess", "--references",
                   tmp_path / "truth", "--interval", "bca", "--out", tmp_path / "out")  # fmt: skip
    assert ran.code == 0, ran.err
    head = json.loads((tmp_path / "out/scores.json").read_text())
    assert head["interval"]["method"] == "bca"
    page = (tmp_path / "out/report.html").read_text()
    assert "BCa bootstrap intervals" in page
    assert "--interval bca" in page
    plain = segbench("evaluate", "--predictions", tmp_path / "guess", "--references",
                     tmp_path / "truth", "--json")  # fmt: skip
    found = json.loads(plain.out)
    assert found["interval"]["method"] == "percentile"
    assert [s["value"] for s in found["scores"]] == [s["value"] for s in head["scores"]]
    assert [s["ci95"] for s in found["scores"]] != [s["ci95"] for s in head["scores"]]


def test_entries_measured_differently_elsewhere_are_compared_in_either_order(tmp_path):
    write_evaluation(evaluated(1, wrong=0.2), tmp_path / "all")
    write_evaluation(evaluated(2, wrong=0.5, options=Options(percentile=90)), tmp_path / "hd90")
    write_evaluation(evaluated(3, wrong=0.5, options=Options(surface=False)), tmp_path / "overlap")
    for a, b in permutations(("all", "hd90", "overlap"), 2):
        (pair,) = compare(tmp_path / a, tmp_path / b).pairs
        assert math.isfinite(pair.value)


def test_infinite_distances_are_compared_and_written(segbench, tmp_path):
    """One entry found nothing in one image: its distance is infinite."""
    truth, guess = masks(1, wrong=0.3, n=6)
    for name, found in (("some", {**guess, "i00": truth["i00"] * 0}), ("all", guess)):
        options = Options(empty_distance="inf")
        write_evaluation(evaluate(found, references=truth, options=options),
                         tmp_path / name)  # fmt: skip
    out = tmp_path / "out"
    folders = (tmp_path / "some", tmp_path / "all")
    ran = segbench("compare", *folders, "--measure", "hd", "--json", "--out", out)
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    (pair,) = found["pairs"]
    assert found["entries"][0]["value"] == "inf"
    assert pair["difference"] is None
    assert pair["most_different"][0]["id"] == "i00"
    assert pair["most_different"][0]["a"] == "inf"
    assert json.loads((out / "comparison.json").read_text()) == found
    assert segbench("compare", *folders, "--measure", "hd").code == 0


def test_a_comparison_is_written_whole_or_not_at_all(folders, tmp_path):
    result = compare(folders / "a", folders / "b")

    def full(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    for out in (tmp_path / "cmp", tmp_path / "cmp.svg"):
        with pytest.raises(SegbenchError, match="could not be written"):
            write_comparison(result, out, draw=full)
    assert not any(tmp_path.iterdir())


def test_brackets_in_names_are_shown(segbench, folders, tmp_path):
    names = ("unet[bold]", "unet[lr1]")
    for name, of in zip(names, "ab", strict=True):
        shutil.copytree(folders / of, tmp_path / name)
    ran = segbench("compare", *(tmp_path / name for name in names))
    assert ran.code == 0, ran.err
    assert f"{names[0]} - {names[1]}" in ran.out


HANDLED = {
    "missing": "worst",
    "resize": "nearest",
    "min_score": "0.5",
    "cut": "0.25",
    "chosen": "dice/images@d@1/split val#abc123",
}


@pytest.mark.parametrize("part", HANDLING)
@pytest.mark.parametrize("both", [False, True])
def test_what_was_handled_otherwise_is_said(copies, part, both):
    """Of one entry, or of both in two ways; there are no others then."""
    value = HANDLED[part]

    def handled(as_):
        return lambda score: score | {"signature": score["signature"] + f"|{part}:{as_}"}

    edit_scores(copies / "a", handled(value))
    if both:
        edit_scores(copies / "b", handled(f"other {value}"))
    (note,) = [n for n in compare(copies / "a", copies / "b").notes if value in n]
    rest = f", b (other {value})" if both else "; not the others"
    assert note == f"{HANDLING[part]}: a ({value}){rest}"
