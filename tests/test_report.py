"""The report: right facts, nothing from outside, nothing hostile, the same bytes each time."""

from __future__ import annotations

import html.parser
import itertools
import re
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from segbench.masks.labels import LabelClass
from segbench.masks.submission import Arrays
from segbench.measures import Options
from segbench.report import pictures
from segbench.report.charts import leaderboard_figure
from segbench.report.gallery import N_BEST, N_MEDIAN, N_UNDEFINED, N_WORST, choose
from segbench.report.page import render, write_report
from segbench.report.pictures import Overlay, class_colours, overlay_figure, picture
from segbench.scoring.evaluate import Evaluation, evaluate, score_target
from segbench.scoring.tally import Policy
from segbench.scoring.target import BareItem, Target

SCRIPT = "<script>alert(1)</script>"
ATTRIBUTE = '"><img src=x onerror=alert(1)>'
MATHS = r"$\frac{$ \N{x} ]]> --> &amp; #0072b2"
VOID = {"meta", "link", "br", "wbr", "img", "hr", "input"}


@dataclass
class Page(html.parser.HTMLParser):
    """What a browser makes of the page: elements with attributes, text, and the open elements."""

    source: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self):
        super().__init__()
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.pieces.append("" if tag == "wbr" else " ")
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.pieces.append(" ")

    def handle_data(self, data):
        if not {"style", "svg"} & set(self.open):
            self.pieces.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.pieces))

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, attribute):
        return [a[attribute] for _, a in self.elements if attribute in a]


def disc(shift=0, radius=14, size=(32, 64)):
    y, x = np.mgrid[: size[0], : size[1]]
    return ((y - 16) ** 2 + (x - 20 - shift) ** 2 <= radius**2).astype(np.uint8)


def target_of(masks, classes, *, images=True, columns=None, **changes):
    photo = np.full((32, 64, 3), 120, dtype=np.uint8)
    items = tuple(
        BareItem(
            id=name,
            group=name,
            columns={"split": "test", "width": 48, **(columns or {})},
            size=mask.shape,
            read=lambda mask=mask: mask,
            read_image=(lambda: photo) if images else None,
        )
        for name, mask in masks.items()
    )
    target = Target("discs", "3", "test", None, "0123456789abcdef", classes, items)
    return replace(target, **changes)


def score(
    target, predictions, *, origin="/home/someone/private/otsu", by=(), **policy
) -> Evaluation:
    policy = Policy(**policy)
    submission = Arrays(predictions, origin=origin)
    return score_target(target, submission, policy=policy, options=Options(), by=by)


TWO = (
    LabelClass(id=0, name="background", color=(0, 0, 0)),
    LabelClass(id=1, name="lesion", color=(255, 255, 255)),
)
MANY = (TWO[0], *(LabelClass(id=i, name=f"organ {i}", color=(40 * i, 9, 9)) for i in range(1, 6)))


@pytest.fixture(scope="module")
def binary():
    references = {f"S{i:02d}": disc() for i in range(24)} | {"void": np.zeros_like(disc())}
    guesses = {f"S{i:02d}": disc(shift=i) for i in range(24)} | {"void": np.zeros_like(disc())}
    return score(
        target_of(references, TWO, columns={"diagnosis": "nevus"}), guesses, by=["diagnosis"]
    )


@pytest.fixture(scope="module")
def binary_page(binary):
    asked = []

    def guess(name):
        asked.append(name)
        return np.zeros_like(disc()) if name == "void" else disc(shift=int(name[1:]))

    page = Page(render(binary, guess))
    page.asked = asked
    return page


@pytest.fixture(scope="module")
def several():
    rng = np.random.default_rng(0)
    references = {f"S{i}": rng.integers(0, 6, (32, 64), dtype=np.uint8) for i in range(12)}
    guesses = {name: mask.copy() for name, mask in references.items()}
    for i, mask in enumerate(guesses.values()):
        mask[: 2 * i] = 1
    references["S3"][:4] = 255
    evaluation = score(target_of(references, MANY), guesses)
    return evaluation, guesses, Page(render(evaluation, guesses.get))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory):
    masks = {SCRIPT: disc(), ATTRIBUTE: disc(), MATHS: disc(), "\udcff": disc(), "plain": disc()}
    guesses = {name: disc(shift=3) for name in masks}
    columns = {SCRIPT: ATTRIBUTE, "diagnosis": SCRIPT, "maths": MATHS, ATTRIBUTE: "\udcff\x00\n"}
    target = target_of(masks, TWO, columns=columns, name=SCRIPT, version=ATTRIBUTE)
    target = replace(target, notes=(f"a note {SCRIPT}",))
    evaluation = score(target, guesses, by=list(columns), origin=f"/x/{ATTRIBUTE}")
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    write_report(evaluation, guesses.get, path)
    return Page(path.read_bytes().decode())


def test_numbers_with_intervals_and_signatures(binary, binary_page):
    for key in ("dice", "iou", "precision", "recall", "specificity", "mcc"):
        for over in ("images", "dataset"):
            found = binary.score(key, over=over)
            low, high = found.ci95
            assert f"{found.value:.3f} [{low:.3f}, {high:.3f}]" in binary_page.text
    for found in binary.scores:
        assert found.signature in binary_page.text
    assert binary.score("dice").signature in binary_page.values("title")


def test_heading_and_facts(binary_page):
    assert "otsu on discs@3" in binary_page.text
    assert "test split" in binary_page.text
    assert "Images 25 Groups of images 25 Empty in both masks 1" in binary_page.text
    assert "Content digest 0123456789ab" in binary_page.text
    assert "Predictions read as class ids" in binary_page.text


def test_the_place_on_the_disk_is_not_told(binary_page):
    assert "someone" not in binary_page.source
    assert "private" not in binary_page.source


def test_recompute_command(binary_page):
    command = "segbench evaluate --predictions PREDICTIONS --dataset discs --split test"
    assert f"{command} --by diagnosis" in binary_page.text


def test_worst_median_best_and_undefined_are_shown(binary_page):
    shown = re.findall(r"(S\d\d|void) Dice (?:0|1|undef)", binary_page.text)
    assert shown == ["S23", "S22", "S21", "S20", "S12", "S11", "S00", "S01", "void"]
    assert "both masks are empty" in binary_page.text


def test_only_what_is_shown_is_read(binary_page):
    assert len(binary_page.asked) == N_WORST + N_MEDIAN + N_BEST + 1 <= 8 + N_UNDEFINED


def test_subgroups(binary, binary_page):
    (scores,) = binary.subgroups["diagnosis"].values()
    dice = next(s for s in scores if s.signature.startswith("dice|class:lesion|over:images"))
    assert f"nevus 24 {dice.value:.3f}" in binary_page.text
    assert "empty 0†" in binary_page.text


def test_no_warning_without_a_reason(binary_page):
    assert not [a for a in binary_page.values("class") if a == "warnings"]


@pytest.mark.parametrize("name", ["binary_page", "hostile_page"])
def test_nothing_comes_from_outside_and_nothing_runs(name, request):
    page = request.getfixturevalue(name)
    for attribute in ("src", "href", "xlink:href", "action", "poster", "srcset", "data"):
        for value in page.values(attribute):
            assert value.startswith(("#", "data:image/jpeg;base64,", "data:image/png;base64,"))
    assert "@import" not in page.source
    assert not re.findall(r"url\((?!#)", page.source)
    assert not {"script", "link", "iframe", "img", "object", "embed"} & {
        t for t, _ in page.elements
    }
    assert not [key for _, a in page.elements for key in a if key.startswith("on")]


@pytest.mark.parametrize("name", ["binary_page", "hostile_page"])
def test_structure(name, request):
    page = request.getfixturevalue(name)
    assert page.open == []
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    wanted = [v[1:] for v in page.values("href") if v.startswith("#")]
    wanted += re.findall(r"url\(#([^)]*)\)", page.source)
    assert set(wanted) <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in a or a.get("aria-hidden") for a in page.all("th"))
    drawn = [a for a in page.all("svg") if a.get("aria-hidden") != "true" and a["class"] != "range"]
    assert all(a["role"] == "img" and a["aria-label"] for a in drawn)


def test_hostile_names_are_text(hostile_page):
    assert f"on {SCRIPT}@{ATTRIBUTE}" in hostile_page.text
    assert f"a note {SCRIPT}" in hostile_page.text
    assert f"diagnosis: {SCRIPT}" in hostile_page.text
    assert f"{SCRIPT}: {ATTRIBUTE}" in hostile_page.text
    assert MATHS in hostile_page.text
    assert any(SCRIPT in label for label in hostile_page.values("aria-label"))


def test_few_groups_are_said(hostile_page):
    assert "Only 5 images: with fewer than 20 intervals are too narrow and tests weak." in (
        hostile_page.text
    )


def test_the_same_bytes_twice(several, tmp_path):
    evaluation, guesses, page = several
    write_report(evaluation, guesses.get, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == page.source.encode()


def test_several_classes(several):
    evaluation, _, page = several
    for found in (evaluation.score("dice", over="classes"), evaluation.score("accuracy", "all")):
        low, high = found.ci95
        assert f"{found.value:.3f} [{low:.3f}, {high:.3f}]" in page.text
    reference = evaluation.table.counts.reference.sum(axis=0)
    assert f"organ 5 {reference[5] / reference.sum():.1%} of pixels" in page.text
    assert "Left the reference, right the prediction." in page.text
    pngs = [v for v in page.values("href") if v.startswith("data:image/png")]
    assert len(pngs) == 2 * (N_WORST + N_MEDIAN + N_BEST)


def test_classes_without_a_background():
    classes = tuple(replace(c, name=f"ground {c.id}") for c in MANY[:3])
    masks = {f"S{i}": disc() + disc(shift=18, radius=3) * (1 - disc()) * 2 for i in range(4)}
    page = Page(render(score(target_of(masks, classes, images=False), masks), masks.get))
    assert "Mean over all classes" in page.text


def test_missing_and_resized_predictions_and_synthetic_data_are_said():
    masks = {f"S{i}": disc() for i in range(4)}
    guesses = {"S0": disc(), "S1": disc(), "S2": disc()[::2, ::2]}
    target = target_of(masks, TWO, columns={"origin": "synthetic"}, fold=2)
    evaluation = score(target, guesses, missing="worst", resize="nearest")
    page = Page(render(evaluation, guesses.get))
    assert "1 of 4 predictions are missing and score the worst value: S3." in page.text
    assert "1 of 4 predictions had another size" in page.text
    assert "SYNTHETIC" in page.text
    assert "fold 2" in page.text
    assert "--split test --fold 2 --missing worst --resize nearest" in page.text
    assert "S3 Dice" not in page.text


def test_bare_arrays_without_images_or_predictions():
    evaluation = evaluate([disc(shift=2)], references=[disc()])
    page = Page(render(evaluation, None))
    assert "against arrays" in page.text
    assert "--references REFERENCES" in page.text
    assert "Only 1 images: with fewer than 5 there are no intervals, tests or tiers." in page.text
    assert "no prediction to draw" in page.text
    assert not [v for v in page.values("href") if v.startswith("data:")]


@given(
    hnp.arrays(float, st.integers(0, 40), elements=st.sampled_from([np.nan, *np.linspace(0, 1, 9)]))
)
def test_choice(values):
    groups = dict(choose(values))
    chosen = [i for group in groups.values() for i in group]
    defined = np.flatnonzero(~np.isnan(values))
    assert len(chosen) == len(set(chosen)) == min(len(defined), N_WORST + N_MEDIAN + N_BEST)
    assert set(chosen) <= set(defined)
    if "Worst" in groups:
        ordered = np.sort(values[defined])
        assert list(values[groups["Worst"]]) == list(ordered[:N_WORST])
        assert list(values[groups["Best"]]) == list(ordered[::-1][:N_BEST])
        rest = ordered[N_WORST:-N_BEST]
        assert set(values[groups["Median"]]) <= set(rest)
        if len(rest) >= 2 * (N_WORST + N_MEDIAN):
            middle = (len(ordered) - 1) / 2
            for value in values[groups["Median"]]:
                assert np.searchsorted(ordered, value, side="left") <= middle + N_MEDIAN
                assert np.searchsorted(ordered, value, side="right") - 1 >= middle - N_MEDIAN


def area(path):
    """Signed area of an SVG path of straight closed rings; holes count negative."""
    total = 0.0
    for ring in re.findall(r"M([^Z]*)Z", path):
        x, y = np.array([p.split(",") for p in ring.split()], dtype=float).T
        total += (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2
    return abs(total)


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_outlines_enclose_the_mask(scale, monkeypatch):
    monkeypatch.setattr(pictures, "LONG_SIDE", 300 // scale)
    mask = np.zeros((200, 300), dtype=np.uint8)
    mask[40:120, 150:300] = 1  # touches the border
    mask[60:80, 180:220] = 0  # a hole
    item = replace(target_of({"S0": mask}, TWO, images=False).items[0], size=mask.shape)
    drawn = picture(item, mask, TWO)
    assert (drawn.width, drawn.height) == (300 // scale, 200 // scale)
    assert area(drawn.outlines["reference"]) == pytest.approx(mask.sum() / scale**2, rel=0.02)
    assert drawn.outlines["reference"] == drawn.outlines["prediction"]
    points = np.array(re.findall(r"([\d.]+),([\d.]+)", drawn.outlines["reference"]), dtype=float)
    assert points[:, 0].min() == pytest.approx(150 / scale, abs=1)
    assert points[:, 0].max() == pytest.approx(300 / scale, abs=0.01)
    assert drawn.notes == ()


def test_an_object_too_small_to_be_drawn_is_said(monkeypatch):
    monkeypatch.setattr(pictures, "LONG_SIDE", 30)
    mask = np.zeros((300, 300), dtype=np.uint8)
    mask[5, 5] = 1
    item = target_of({"S0": mask}, TWO, images=False).items[0]
    drawn = picture(item, np.zeros_like(mask), TWO)
    assert "reference: too small to be seen at this size" in drawn.notes
    assert "nothing was predicted" in drawn.notes


def test_classes_of_one_colour_are_told_apart():
    same = tuple(replace(label, color=(7, 7, 7)) for label in MANY)
    assert len(set(class_colours(same).values())) == 5
    assert class_colours(MANY) == {label.id: label.color for label in MANY[1:]}


def test_figures_are_written_the_same_twice(tmp_path):
    entries = [
        (SCRIPT, 0.8, 0.7, 0.9),
        (MATHS, 0.6, np.nan, np.nan),
        ("none", np.nan, np.nan, np.nan),
    ]
    rows = [
        Overlay(image=np.full((32, 64, 3), 99, np.uint8), reference=disc() > 0, prediction=None),
        Overlay(image=None, reference=disc() > 0, prediction=disc(shift=4) > 0, caption=MATHS),
    ]
    for ending in ("png", "svg"):
        made = []
        for turn in ("a", "b"):
            leaderboard = tmp_path / f"board-{turn}.{ending}"
            leaderboard_figure(entries, leaderboard, title="t", x_label="Dice")
            overlay_figure(rows, tmp_path / f"overlay-{turn}.{ending}", title="t")
            made.append(leaderboard.read_bytes())
            made.append((tmp_path / f"overlay-{turn}.{ending}").read_bytes())
        assert made[:2] == made[2:]
    with Image.open(tmp_path / "overlay-a.png") as image:
        assert image.width > 2 * image.height
        colours = {(86, 180, 233), (240, 228, 66)}
        assert colours <= {colour for _, colour in image.convert("RGB").getcolors(1 << 20)}


def test_accuracy_against_the_rest_never_stands_beside_that_of_the_map():
    """Of three classes or more these are two numbers: each has a line and a name of its own."""
    rng = np.random.default_rng(0)
    truth = {f"i{i}": rng.integers(0, 4, (16, 16), dtype=np.uint8) for i in range(6)}
    guess = {
        k: np.where(rng.random((16, 16)) < 0.2, 1, v).astype(np.uint8) for k, v in truth.items()
    }
    result = evaluate(guess, references=truth, class_names=["background", "a", "b", "c"])
    titles = {s.measure.title for s in result.scores if s.measure.key == "accuracy"}
    assert titles == {"Pixel accuracy", "Pixel accuracy (class against the rest)"}
    page = render(result, guess.get)
    assert "Pixel accuracy (class against the rest)" in page
