"""`evaluate` end to end on the drawn dataset: every form scores the same, bad input is refused."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import segbench as sb
from segbench.masks import rle
from segbench.scoring.files import scores_json
from segbench.scoring.tally import Policy

SPLIT = "test"


@pytest.fixture(scope="module")
def truth(synthetic) -> dict[str, np.ndarray]:
    return {s.id: s.mask for s in sb.load("synthetic-lesions", SPLIT, data=synthetic)}


@pytest.fixture(scope="module")
def guess(truth) -> dict[str, np.ndarray]:
    """Each mask moved by some pixels: neither right nor hopeless."""
    return {k: np.roll(m, (i % 9, -(i % 7)), (0, 1)) for i, (k, m) in enumerate(truth.items())}


@pytest.fixture
def score(synthetic):
    """Evaluate predictions of the drawn test split."""

    def run(predictions, *, dataset: str | None = "synthetic-lesions", **options) -> sb.Evaluation:
        if dataset is None:
            return sb.evaluate(predictions, data=synthetic, **options)
        return sb.evaluate(predictions, dataset=dataset, data=synthetic, **options)

    return run


def save_all(
    folder: Path, masks: dict[str, np.ndarray], *, ending: str = ".png", **options
) -> Path:
    folder.mkdir(exist_ok=True)
    for name, mask in masks.items():
        Image.fromarray(mask).save(folder / f"{name}{ending}", **options)
    return folder


def palette_png(folder: Path, masks: dict[str, np.ndarray], bits: int) -> Path:
    folder.mkdir()
    for name, mask in masks.items():
        image = Image.fromarray(mask)
        image.putpalette([7, 7, 7, 250, 3, 9] + [0] * 762)
        image.save(folder / f"{name}.png", bits=bits)
    return folder


def rgb(mask: np.ndarray, level: int) -> np.ndarray:
    return np.repeat(mask[:, :, np.newaxis] * np.uint8(level), 3, axis=2)


def coco(masks: dict[str, np.ndarray], *, compressed: bool) -> str:
    found = []
    for name, mask in masks.items():
        for value in (0, 1):
            runs = rle.runs_of(mask == value)
            counts = rle.compress(runs) if compressed else runs.tolist()
            region = {"size": list(mask.shape), "counts": counts}
            found.append({"image_id": name, "category_id": value, "segmentation": region})
    return json.dumps(found)


def kaggle(masks: dict[str, np.ndarray]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["ImageId", "EncodedPixels"])
    for name, mask in masks.items():
        writer.writerow([f"{name}.png", rle.kaggle_runs(mask == 1)])
    return stream.getvalue()


def every_form(root: Path, masks: dict[str, np.ndarray]) -> dict[str, Path]:
    """The same masks in every form that the contract names."""
    forms = {
        "ids": save_all(root / "ids", masks),
        "0-255": save_all(root / "b", {k: m * np.uint8(255) for k, m in masks.items()}),
        "1-bit": save_all(root / "bits", {k: m == 1 for k, m in masks.items()}),
        "16-bit": save_all(root / "deep", {k: m.astype(np.uint16) for k, m in masks.items()}),
        "palette": palette_png(root / "p8", masks, 8),
        "palette of 4 bits": palette_png(root / "p4", masks, 4),
        "palette of 1 bit": palette_png(root / "p1", masks, 1),
        "RGB ids": save_all(root / "rgb1", {k: rgb(m, 1) for k, m in masks.items()}),
        "RGB 255": save_all(root / "rgb255", {k: rgb(m, 255) for k, m in masks.items()}),
        "bmp": save_all(root / "bmp", masks, ending=".bmp"),
        "tiff": save_all(root / "tif", masks, ending=".tif", compression="tiff_lzw"),
    }
    for name, change in {
        "npy": lambda m: m,
        "npy 64 bit": lambda m: m.astype(np.int64),
        "npy 255": lambda m: m * np.uint8(255),
        "npy bool": lambda m: m == 1,
        "npy probabilities": lambda m: m * 0.8 + 0.1,
        "npy class probabilities": lambda m: np.stack([1 - m * 0.7, m * 0.7]).astype(np.float32),
    }.items():
        forms[name] = root / name
        forms[name].mkdir()
        for k, m in masks.items():
            np.save(forms[name] / f"{k}.npy", change(m))
    forms["npz"] = root / "npz"
    forms["npz"].mkdir()
    for k, m in masks.items():
        np.savez_compressed(forms["npz"] / f"{k}.npz", probabilities=np.stack([1.0 - m, m * 1.0]))
    (root / "coco.json").write_text(coco(masks, compressed=True))
    (root / "plain.json").write_text(coco(masks, compressed=False))
    (root / "kaggle.csv").write_text(kaggle(masks))
    forms |= {f: root / f for f in ("coco.json", "plain.json", "kaggle.csv")}
    (root / "in-folder").mkdir()
    shutil.copy(root / "coco.json", root / "in-folder")
    forms["coco in a folder"] = root / "in-folder"
    for kind in ("zip", "tar", "gztar", "xztar"):
        forms[kind] = Path(shutil.make_archive(str(root / f"flat-{kind}"), kind, forms["ids"]))
    forms["wrapped zip"] = Path(shutil.make_archive(str(root / "wrapped"), "zip", root, "ids"))
    return forms


def test_the_same_masks_in_every_form_score_the_same_to_the_bit(tmp_path, guess, score):
    expected = scores_json(score(guess))
    del expected["form"]
    found = {}
    for name, path in every_form(tmp_path, guess).items():
        evaluation = scores_json(score(path))
        found[name] = evaluation.pop("form")
        assert evaluation == expected, name
    assert len(found) == 27
    assert found["ids"] == found["1-bit"] == found["palette"] == "class ids"
    assert found["0-255"] == found["RGB 255"] == found["kaggle.csv"] == "binary"
    assert found["npz"] == found["npy probabilities"] == "probabilities"


def test_arrays_in_memory_score_as_files_do(tmp_path, guess, truth, score):
    files = score(save_all(tmp_path / "p", guess))
    arrays = sb.evaluate(list(guess.values()), references=list(truth.values()))
    for over in ("images", "dataset"):
        assert files.score("dice", over=over).value == arrays.score("dice", "object", over).value


def test_references_without_a_card(tmp_path, guess, truth):
    references = save_all(tmp_path / "refs", {k: m * np.uint8(255) for k, m in truth.items()})
    result = sb.evaluate(save_all(tmp_path / "p", guess), references=references)
    assert [c.name for c in result.target.classes] == ["background", "object"]
    again = sb.evaluate(guess, references=truth)
    assert result.score("iou").value == again.score("iou").value
    assert result.digest == again.digest
    named = sb.evaluate(guess, references=truth, class_names=["skin", "nevus"])
    assert named.score("iou", "nevus").value == again.score("iou").value


def test_the_files_are_the_contracts(tmp_path, guess, synthetic, segbench):
    predictions = save_all(tmp_path / "p", guess)
    ran = segbench(
        "evaluate", "--predictions", predictions, "--data", synthetic, "--by", "kind",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "scores.json", "rows.parquet", "report.html",
    }  # fmt: skip
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    info = json.loads((synthetic / "synthetic-lesions" / "dataset.json").read_text())
    assert scores["schema_version"] == 1
    assert scores["dataset"] == "synthetic-lesions"
    assert scores["dataset_version"] == "1"
    assert scores["split"] == "test"
    assert "fold" not in scores
    assert scores["split_digest"] == info["split_digests"]["test"]
    assert (scores["n_samples"], scores["n_groups"], scores["n_missing"]) == (24, 24, 0)
    assert scores["form"] == "class ids"
    keys = [(s["measure"], s["class"], s["over"]) for s in scores["scores"]]
    assert len(set(keys)) == len(keys)
    for entry in scores["scores"]:
        contract = {"measure", "class", "over", "value", "ci95", "n", "signature"}
        assert set(entry) - {"exact"} == contract
        low, high = entry["ci95"]
        if entry["over"] == "median":
            assert (low, high) == (None, None)
            continue
        assert low <= entry["value"] <= high, entry
        short = f"#{info['split_digests']['test'][:6]}|"
        assert f"|data:synthetic-lesions@1/test{short}" in entry["signature"]
        assert sb.parse(entry["signature"].partition("|ignore")[0]).key == entry["measure"]
    kinds = scores["subgroups"]["kind"]
    assert set(kinds) >= {"small", "large", "border", "hair", "low-contrast", "empty"}
    assert [(s["measure"], s["class"], s["over"]) for s in kinds["hair"]] == keys
    empty = next(s for s in kinds["empty"] if s["measure"] == "dice" and s["class"] == "lesion")
    assert empty["value"] is None
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert len(rows) == 24 * 2
    expected = {"id", "class", "tp", "fp", "fn", "tn", "iou", "dice", "kind", "group", "width"}
    assert expected <= set(rows.columns)
    lesion = rows[rows["class"] == "lesion"]
    assert (lesion.tp + lesion.fp + lesion.fn + lesion.tn == lesion.width * lesion.height).all()
    dice = next(
        s for s in scores["scores"]
        if (s["measure"], s["class"], s["over"]) == ("dice", "lesion", "images")
    )  # fmt: skip
    assert dice["value"] == pytest.approx(lesion.dice.mean(), abs=1e-12)
    assert dice["n"] == lesion.dice.notna().sum() == 23


def test_running_again_replaces_ours_and_refuses_anything_else(
    tmp_path, guess, synthetic, segbench
):
    command = ["evaluate", "--predictions", save_all(tmp_path / "p", guess), "--data", synthetic]
    out = tmp_path / "out"
    assert segbench(*command, "--out", out).code == 0
    first = (out / "scores.json").read_bytes(), (out / "report.html").read_bytes()
    assert segbench(*command, "--out", out).code == 0
    assert ((out / "scores.json").read_bytes(), (out / "report.html").read_bytes()) == first
    (out / "thesis.tex").write_text("mine")
    ran = segbench(*command, "--out", out)
    assert ran.code == 1
    assert "thesis.tex" in ran.err
    assert (out / "thesis.tex").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "p"]


def test_json_is_the_whole_of_stdout(tmp_path, guess, synthetic, segbench):
    predictions = save_all(tmp_path / "p", guess)
    ran = segbench("evaluate", "--predictions", predictions, "--data", synthetic, "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["n_samples"] == 24


def test_fold_in_place_of_split(synthetic, score):
    samples = sb.load("synthetic-lesions", fold=2, data=synthetic)
    result = score({s.id: s.mask for s in samples}, fold=2)
    assert len(result.table) == 12
    assert "/fold2#" in result.score("dice").signature
    written = scores_json(result)
    assert written["fold"] == 2
    assert "split" not in written


# --- what a hurried user gets wrong ---------------------------------------------------------------


def first(masks: dict[str, np.ndarray]) -> str:
    return next(iter(masks))


def damage(folder: Path, masks) -> None:
    (folder / f"{first(masks)}.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")


def truncate(folder: Path, masks) -> None:
    path = folder / f"{first(masks)}.png"
    path.write_bytes(path.read_bytes()[:60])


def overwrite(folder: Path, masks, array: np.ndarray, ending: str = ".png") -> None:
    (folder / f"{first(masks)}.png").unlink()
    path = folder / f"{first(masks)}{ending}"
    if ending == ".npy":
        np.save(path, array)
    else:
        Image.fromarray(array).save(path)


def some(masks, value: int) -> np.ndarray:
    return np.full_like(masks[first(masks)], value)


def shape(masks) -> tuple[int, int]:
    return masks[first(masks)].shape


MISTAKES = {
    "missing file": (
        lambda f, m: (f / f"{first(m)}.png").unlink(),
        r"missing predictions, of 24 samples \(1\): SYN\d+[\s\S]*--missing worst",
    ),
    "extra file": (
        lambda f, m: shutil.copy(f / f"{first(m)}.png", f / "SYN999.png"),
        r"ids that synthetic-lesions test does not have \(1\): SYN999[\s\S]*--extra ignore",
    ),
    "wrong size": (
        lambda f, m: overwrite(f, m, np.zeros((9, 9), np.uint8)),
        r"wrong size \(1\): SYN\d+ \(9x9, expected \d+x\d+\)[\s\S]*--resize nearest",
    ),
    "rotated": (
        lambda f, m: overwrite(f, m, np.zeros(shape(m)[::-1], np.uint8)),
        r"wrong size \(1\)",
    ),
    "damaged file": (damage, r"unreadable file \(1\): SYN\d+"),
    "truncated file": (truncate, r"unreadable file \(1\): SYN\d+"),
    "empty file": (
        lambda f, m: (f / f"{first(m)}.png").write_bytes(b""),
        r"unreadable file \(1\)",
    ),
    "unknown class": (
        lambda f, m: overwrite(f, m, some(m, 2)),
        r"unknown class \(1\): value 2 in SYN\d+[\s\S]*save class ids",
    ),
    "mixed forms": (
        lambda f, m: overwrite(f, m, some(m, 255)),
        r"mixed forms: value 1 in .* and value 255 in SYN\d+; .*--form binary",
    ),
    "colours": (
        lambda f, m: overwrite(f, m, rgb(some(m, 1), 1) * np.array([200, 1, 9], np.uint8)),
        r"unknown colour \(\d\): .*colour \(200, 1, 9\) in SYN",
    ),
    "a photograph": (
        lambda f, m: overwrite(
            f, m, np.random.default_rng(0).integers(0, 255, (*shape(m), 3), np.uint8)
        ),
        r"not a mask \(1\): SYN\d+ \(\d+ distinct values",
    ),
    "jpeg": (
        lambda f, m: overwrite(f, m, some(m, 0), ".jpg"),
        r"lossy file \(1\)[\s\S]*save them as PNG",
    ),
    "nan": (
        lambda f, m: overwrite(f, m, np.full(shape(m), np.nan), ".npy"),
        r"NaN \(1\): SYN\d+ \(\d+ values are not a number\)",
    ),
    "logits": (
        lambda f, m: overwrite(f, m, np.full(shape(m), -3.0), ".npy"),
        r"not probabilities \(1\)[\s\S]*sigmoid or softmax",
    ),
    "probabilities among ids": (
        lambda f, m: overwrite(f, m, np.full(shape(m), 0.5), ".npy"),
        r"mixed forms: probabilities in SYN\d+; values in SYN",
    ),
    "pickle": (
        lambda f, m: overwrite(f, m, np.full(shape(m), {}, object), ".npy"),
        r"unreadable file \(1\)[\s\S]*pickles are never loaded",
    ),
    "one id twice": (
        lambda f, m: np.save(f / f"{first(m)}.npy", m[first(m)]),
        r"duplicate id \(1\): (SYN\d+) in \1.npy and \1.png[\s\S]*--ending .png",
    ),
    "names with a suffix": (
        lambda f, m: [p.rename(p.with_name(f"{p.stem}_pred.png")) for p in list(f.iterdir())],
        r"no prediction for any of the 24 samples[\s\S]*do you mean --suffix _pred",
    ),
    "another case": (
        lambda f, m: (f / f"{first(m)}.png").rename(f / f"{first(m).lower()}.png"),
        r"missing predictions[\s\S]*does not have \(1\): syn\d+",
    ),
    "masks in two folders": (
        lambda f, m: ((f / "more").mkdir(), (f / f"{first(m)}.png").rename(f / "more" / "a.png")),
        r"masks in 2 folders",
    ),
    "a strange file": (
        lambda f, m: (f / "model.exe").write_bytes(b"MZ"),
        r"1 files are not masks that can be read: model.exe",
    ),
    "transparent": (
        lambda f, m: overwrite(f, m, np.zeros((*shape(m), 4), np.uint8)),
        r"transparent pixels \(1\)",
    ),
    "grey edges": (
        lambda f, m: overwrite(f, m, np.resize(np.arange(200, dtype=np.uint8), shape(m))),
        r"unknown class[\s\S]*soft edges",
    ),
    "nothing in the folder": (
        lambda f, m: [p.unlink() for p in list(f.iterdir())],
        r"no predictions; found nothing; expected one mask per sample",
    ),
    "only notes in the folder": (
        lambda f, m: [p.rename(p.with_suffix(".txt")) for p in list(f.iterdir())],
        r"no predictions; found SYN\d+.txt",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_by_name_with_the_remedy(tmp_path, guess, score, mistake):
    make, expected = MISTAKES[mistake]
    folder = save_all(tmp_path / "p", guess)
    make(folder, guess)
    with pytest.raises(sb.SegbenchError) as caught:
        score(folder)
    assert re.search(expected, str(caught.value)), caught.value


def test_all_mistakes_are_listed_in_one_error(tmp_path, guess, synthetic, segbench):
    folder = save_all(tmp_path / "p", guess)
    names = sorted(guess)
    (folder / f"{names[0]}.png").unlink()
    (folder / f"{names[1]}.png").write_bytes(b"oops")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folder / f"{names[2]}.png")
    Image.fromarray(np.full_like(guess[names[3]], 9)).save(folder / f"{names[3]}.png")
    shutil.copy(folder / f"{names[4]}.png", folder / "other.png")
    ran = segbench("evaluate", "--predictions", folder, "--data", synthetic,
                   "--dataset", "synthetic-lesions")  # fmt: skip
    assert ran.code == 1
    for words in (*names[:4], "other", "--missing worst", "--resize nearest", "--extra ignore"):
        assert words in ran.err, ran.err
    checked = segbench("check", folder, "--data", synthetic, "--dataset", "synthetic-lesions")
    assert checked.code == 1
    for words in (*names[:4], "other"):
        assert words in checked.err


TABLES = {
    "not json": ("p.json", "{", "not a table of run lengths"),
    "another json": ("p.json", '{"a": 1}', "not a table of run lengths"),
    "empty list": ("p.json", "[]", "no masks in it"),
    "another csv": ("p.csv", "a,b\n1,2\n", "its columns are a, b"),
    "runs outside": ("p.csv", "id,rle\nSYN999,1 9\n", "no prediction"),
}


@pytest.mark.parametrize("case", TABLES)
def test_bad_tables_are_refused(tmp_path, score, case):
    name, text, words = TABLES[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(sb.SegbenchError, match=words):
        score(tmp_path / name)


def test_damaged_runs_are_refused_by_id(tmp_path, guess, score):
    text = kaggle(guess).replace(f"{first(guess)}.png,", f"{first(guess)}.png,1 99999999 ", 1)
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(sb.SegbenchError, match=rf"damaged RLE \(1\): {first(guess)}"):
        score(tmp_path / "p.csv")


def test_overlapping_classes_in_runs_are_refused(tmp_path, guess, score):
    everything = [
        {**item, "category_id": value}
        for item in json.loads(coco(guess, compressed=True))
        for value in (0, 1)
    ]
    (tmp_path / "p.json").write_text(json.dumps(everything))
    with pytest.raises(sb.SegbenchError, match="overlapping classes"):
        score(tmp_path / "p.json")


@pytest.mark.parametrize("name", ["p.zip", "p.tar.gz", "p.tar"])
def test_damaged_archives_are_refused(tmp_path, guess, score, name):
    save_all(tmp_path / "p", guess)
    path = tmp_path / name
    if name == "p.zip":
        shutil.make_archive(str(tmp_path / "p"), "zip", tmp_path / "p")
    else:
        with tarfile.open(path, "w:gz" if name.endswith("gz") else "w") as archive:
            archive.add(tmp_path / "p", "p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(sb.SegbenchError, match=r"damaged archive|not predictions|unreadable"):
        score(path)


def test_a_zip_member_that_lies_about_its_size_is_bounded(tmp_path, guess, score):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in guess:
            archive.writestr(
                f"{name}.npy", b"\x93NUMPY" + bytes(50_000_000 * (name == first(guess)))
            )
    with pytest.raises(sb.SegbenchError, match="unreadable file"):
        score(path)


def test_nnunet_files_beside_the_masks_are_ignored_and_said_so(tmp_path, guess, score):
    folder = save_all(tmp_path / "p", guess)
    for name in ("dataset.json", "plans.json", "SYN001.pkl"):
        (folder / name).write_bytes(b"{}")
    result = score(folder)
    assert result.notes == (
        "ignored 3 files that are not predictions: SYN001.pkl, dataset.json, plans.json",
    )


def test_flags_accept_what_they_name(tmp_path, guess, score):
    folder = save_all(tmp_path / "p", guess)
    shutil.copy(folder / f"{first(guess)}.png", folder / "other.png")
    assert score(folder, policy=Policy(extra="ignore")).n_missing == 0
    half = {k: m[::2, ::2] for k, m in guess.items()}
    resized = score(save_all(tmp_path / "half", half), policy=Policy(resize="nearest"))
    assert resized.n_resized == 24
    assert "|resize:nearest|" in resized.score("dice").signature
    assert resized.score("dice").value == pytest.approx(score(guess).score("dice").value, abs=0.05)
    suffixed = save_all(tmp_path / "s", {f"{k}_seg": m for k, m in guess.items()})
    assert score(suffixed, suffix="_seg").n_missing == 0


def test_the_dataset_is_found_by_the_ids(tmp_path, guess, synthetic, score):
    assert score(guess, dataset=None).target.name == "synthetic-lesions"
    with pytest.raises(sb.SegbenchError, match=r"no prepared dataset in .* has the ids x1"):
        score({"x1": first and np.zeros((2, 2), int)}, dataset=None)
    both = tmp_path / "data"
    for name in ("one", "two"):
        shutil.copytree(synthetic / "synthetic-lesions", both / name)
        info = json.loads((both / name / "dataset.json").read_text())
        (both / name / "dataset.json").write_text(json.dumps({**info, "name": name}))
    with pytest.raises(sb.SegbenchError, match=r"several prepared datasets: one, two; .*--dataset"):
        sb.evaluate(guess, data=both)


def test_what_is_not_there_is_said_with_the_command(tmp_path, guess, score):
    with pytest.raises(sb.SegbenchError, match="segbench prepare ph2 --data"):
        sb.evaluate(guess, dataset="ph2", data=tmp_path)
    with pytest.raises(sb.SegbenchError, match="no such column; there are split, fold"):
        score(guess, by=["colour"])
    with pytest.raises(sb.SegbenchError, match="no such folder or file"):
        score(tmp_path / "nowhere")
    with pytest.raises(sb.SegbenchError, match="expected one of test, train, val"):
        score(guess, split="tset")


def test_usage_errors_exit_with_2(segbench, tmp_path):
    for command in (
        ["evaluate"],
        ["evaluate", "--predictions", tmp_path, "--form", "guess"],
        ["evaluate", "--predictions", tmp_path, "--fold", "5"],
        ["evaluate", "--predictions", tmp_path, "--dataset", "x", "--references", tmp_path],
        ["nothing"],
        ["prepare"],
    ):
        assert segbench(*command).code == 2, command


def test_values_are_exact_where_they_can_be(score, truth):
    perfect = score(truth)
    for key in ("iou", "dice", "accuracy", "mcc", "kappa", "volume_similarity"):
        assert perfect.score(key).value == 1, key
    assert perfect.score("dice").n == 23
    assert math.isnan(perfect.table.per_image(perfect.score("dice").measure)[
        list(truth).index("SYN015")
    ])  # fmt: skip
