"""The page as files: the same bytes each time, right numbers, nothing hostile, no picture unasked."""

from __future__ import annotations

import html.parser
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from segbench.board.entry import find_entries
from segbench.board.site import write_site
from segbench.board.site.boards import boards
from segbench.board.site.contours import path_data
from segbench.board.site.pages import View
from segbench.board.site.scripts import packed, script
from segbench.board.site.viewer import redistributable
from segbench.board.standings import standings
from segbench.errors import SegbenchError
from segbench.measures import parse

RESULTS = Path(__file__).parents[1] / "results"
KEY = "synthetic-lesions-test"


def published(results):
    return [entry for _, entry in find_entries(results) if entry.status == "published"]


@pytest.fixture(scope="module")
def site(board_results, synthetic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "site"
    write_site(standings(board_results), published(board_results), folder, data=synthetic)
    return folder


@pytest.fixture(scope="module")
def ours():
    return standings(RESULTS)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def data_of(path):
    """The key and the value that a data script hands over."""
    text = path.read_text(encoding="utf-8")
    match = re.fullmatch(r'segbench\.put\(("[^"]*"),(.*)\);\n', text, flags=re.DOTALL)
    return json.loads(match[1]), json.loads(match[2])


def test_the_same_bytes_each_time(site, board_results, synthetic, tmp_path):
    again = tmp_path / "site"
    write_site(standings(board_results), published(board_results), again, data=synthetic)
    write_site(standings(board_results), published(board_results), again, data=synthetic)
    assert files(again) == files(site)


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(SegbenchError, match="something else"):
        write_site((), (), tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "precious"


class Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_no_page_runs_or_styles_anything_inline_or_from_outside(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) == 9  # overview, board, compare, viewer, five entries
    for path in pages:
        elements = Elements(path.read_text(encoding="utf-8")).found
        tags = [tag for tag, _ in elements]
        assert "style" not in tags
        assert "img" not in tags
        policy = [a["content"] for t, a in elements if a.get("http-equiv")]
        assert policy[0].startswith("default-src 'none'; script-src 'self' file:;")
        assert "unsafe" not in policy[0]
        for tag, attributes in elements:
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]
            if tag in {"script", "link"}:
                where = attributes.get("src", attributes.get("href"))
                assert where == "data:," or (path.parent / where).resolve().is_file(), where
            elif tag == "a" and not attributes["href"].startswith(("#", "https://example.org/")):
                target = attributes["href"].partition("#")[0]
                assert (path.parent / target).resolve().is_file(), attributes["href"]


def test_assets_name_nothing_outside():
    assets = Path(__file__).parents[1] / "benchmark/segbench/board/site/assets"
    for path in assets.iterdir():
        found = set(re.findall(r"https?://[^\s\"')]+", path.read_text()))
        assert found <= {"http://www.w3.org/2000/svg"}, path.name


def test_hostile_text_is_escaped_in_data_scripts(site):
    for path in site.rglob("data/**/*.js"):
        text = path.read_text(encoding="utf-8")
        assert not set("<>&\u2028\u2029") & set(text), path
        data_of(path)
    _, board = data_of(site / KEY / "data" / "board.js")
    near = next(e for e in board["entries"] if e["name"] == "near")
    assert "<script>alert(1)</script>\u2028" in near["title"]


@given(st.text() | st.lists(st.text()), st.text(alphabet="<>&\u2028\u2029a", min_size=1))
def test_a_script_gives_back_its_value(value, key):
    text = script(key, value)
    assert not set("<>&\u2028\u2029") & set(text)
    match = re.fullmatch(r"segbench\.put\((.*)\);\n", text, flags=re.DOTALL)
    assert json.loads(f"[{match[1]}]") == [key, value]


def test_values_of_images_are_those_of_the_rows(site, board_results):
    _, board = data_of(site / KEY / "data" / "board.js")
    _, samples = data_of(site / KEY / "data" / "samples.js")
    _, values = data_of(site / KEY / "data" / "entries" / "far.js")
    verified = next(s for s in standings(board_results) if s.status == "verified")
    stored = verified.scores["far"]
    assert samples["ids"] == list(stored.ids)
    for measure, own in zip(board["images"], values, strict=True):
        expected = stored.table.per_image(parse(measure["name"]))
        found = [np.nan if x is None else x / 10 ** measure["digits"] for x in own]
        np.testing.assert_allclose(found, expected, atol=0.51 * 10 ** -measure["digits"])
    assert packed([np.nan, np.inf, 0.123456], 5) == [None, "inf", 12346]


def test_adjusted_p_values_are_the_ranking_s(site, board_results):
    _, (verified, reported) = data_of(site / KEY / "data" / "pairs.js")
    ranking = next(s for s in standings(board_results) if s.status == "verified").ranking
    assert verified["names"] == [place.name for place in ranking.places]
    upper = ranking.p_holm[np.triu_indices(4, 1)]
    np.testing.assert_allclose(verified["p"], upper, rtol=1e-3)
    assert reported == {"measure": verified["measure"], "names": ["copied"], "p": []}


def test_subgroups_are_those_of_the_evaluation(ours):
    (board,) = (b for b in boards(ours, ()) if b.key == "ph2-test")
    view = View(board=board, viewer=None)
    names = [entry.name for entry, _, _ in view.entries]
    assert len(names) >= 4
    for column, groups in view.subgroups:
        for i, name in enumerate(names):
            stored = json.loads((RESULTS / "ph2" / name / "scores.json").read_text())
            for group in groups:
                (score,) = (
                    s
                    for s in stored["subgroups"][column][group.value]
                    if (s["measure"], s["class"], s["over"]) == ("dice", "lesion", "images")
                )
                ends = (group.means[i], group.low[i], group.high[i])
                np.testing.assert_allclose(ends, (score["value"], *score["ci95"]), rtol=1e-9)
                assert group.n_images == score["n"]
    assert {column for column, _ in view.subgroups} == {"diagnosis", "size"}


def test_boards_of_other_samples_are_apart(board_results):
    verified, reported = sorted(standings(board_results), key=lambda s: s.status, reverse=True)
    (together,) = boards([reported, verified], ())
    assert [s.status for s in together.standings] == ["verified", "reported"]
    stored = reported.scores["copied"]
    other = replace(reported, scores={"copied": replace(stored, digest="0" * 64)})
    assert [b.key for b in boards([verified, other], ())] == [KEY, f"{KEY}-2"]
    strange = replace(verified, dataset="synthetic-lesions@../../x<b>")
    assert [b.key for b in boards([strange], ())] == ["synthetic-lesions-x-b-test"]


def test_a_board_ranked_by_a_pooled_measure_compares_images_by_their_own(board_results, tmp_path):
    found = standings(board_results, measure="iou|over:dataset")
    (board,) = boards(found, ())
    assert str(board.columns[0]).startswith("iou|class:lesion|over:dataset")
    assert {m.over for m in board.of_images} == {"images"}
    write_site(found, (), tmp_path / "site")
    _, pairs = data_of(tmp_path / "site" / KEY / "data" / "pairs.js")
    assert pairs[0]["measure"].startswith("iou|class:lesion|over:dataset")


def test_published_numbers_alone_make_a_board(board_results, tmp_path):
    write_site((), published(board_results), tmp_path / "site")
    text = (tmp_path / "site" / "synthetic-lesions-published" / "index.html").read_text()
    assert "0.957" in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert {p.name for p in (tmp_path / "site" / "synthetic-lesions-published").iterdir()} == {
        "index.html"
    }


def test_pictures_only_where_the_licence_allows(site, ours, ph2, tmp_path):
    assert [redistributable(n) for n in ("synthetic-lesions", "ph2", "mads", "unknown")] == [
        True, False, False, False,
    ]  # fmt: skip
    assert len(list((site / KEY / "pictures").iterdir())) == 24
    write_site(ours, (), tmp_path / "site", data=ph2)
    names = {p.suffix for p in (tmp_path / "site").rglob("*") if p.is_file()}
    assert names == {".html", ".js", ".css"}
    assert not list((tmp_path / "site").rglob("viewer.html"))
    assert not list((tmp_path / "site").rglob("data/contours"))


def test_links_to_the_entries_files(board_results, tmp_path):
    folder = tmp_path / "results" / "site"
    write_site(standings(board_results), (), folder, results_link="..")
    page = folder / KEY / "entries" / "exact.html"
    elements = Elements(page.read_text()).found
    (link,) = (a["href"] for t, a in elements if a.get("href", "").endswith("rows.parquet"))
    assert (page.parent / link).resolve() == (
        tmp_path / "results" / "synthetic-lesions" / "exact" / "rows.parquet"
    )


def filled(path, shape):
    """The mask inside a path, even-odd, from its vertical edges: each turns the pixels right of it."""
    turned = np.zeros((shape[0], shape[1] + 1), dtype=int)
    x = y = 0
    for command, rest in re.findall(r"([Mhvz])([-\d ]*)", path):
        if command == "M":
            x, y = start = tuple(map(int, rest.split()))
        elif command == "h":
            x += int(rest)
        else:
            end = y + int(rest) if command == "v" else start[1]
            assert command == "v" or x == start[0]
            turned[min(y, end) : max(y, end), x] += 1
            y = end
    return (np.cumsum(turned, axis=1)[:, :-1] % 2).astype(bool)


@settings(max_examples=200)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_contours_filled_are_the_mask(mask):
    np.testing.assert_array_equal(filled(path_data(mask), mask.shape), mask)


def test_a_contour():
    assert path_data(np.zeros((3, 3), dtype=bool)) == ""
    assert path_data(np.ones((2, 3), dtype=bool)) == "M0 0h3v2h-3z"
