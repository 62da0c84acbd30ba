"""Photograph the leaderboard's page in Chromium: `site_pictures.py docs/pictures`.

`board.png` is the PH2 board of results/, which shows numbers alone; `viewer.png` is the viewer with
the classical baselines on the drawn dataset, whose pictures are ours to show.
"""

from __future__ import annotations

import datetime as dt
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from segbench._version import __version__
from segbench.board.entry import Cost, Digests, Entry, Method, Training
from segbench.board.site import write_site
from segbench.board.standings import standings
from segbench.board.write import masks_of, predictions_digest, write_entry
from segbench.catalog.cards import find_dataset
from segbench.catalog.recipes import classical_recipes
from segbench.masks.prepared import open_prepared
from segbench.methods.predict import predict
from segbench.prepare.run import Request, prepare
from segbench.scoring.evaluate import evaluate

ROOT = Path(__file__).parents[2]
DATASET = "synthetic-lesions"


def main(out: Path) -> None:
    """Write board.png and viewer.png."""
    with tempfile.TemporaryDirectory() as made, sync_playwright() as playwright:
        scratch = Path(made)
        write_site(standings(ROOT / "results", dataset="ph2"), (), scratch / "ph2")
        drawn_site(scratch)
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((scratch / "ph2" / "ph2-test" / "index.html").as_uri())
        page.locator("#cost-chart svg").wait_for()
        photograph(page, out / "board.png")
        viewer = scratch / "drawn" / f"{DATASET}-test" / "viewer.html"
        page.emulate_media(color_scheme="dark")
        page.set_viewport_size({"width": 1280, "height": 860})
        page.goto(f"{viewer.as_uri()}#entries=otsu,grabcut")
        page.locator("#stage svg").wait_for()
        page.locator("#order").select_option("apart")
        page.get_by_text(", 1 of 24").wait_for()
        page.wait_for_timeout(500)  # the picture is decoded
        photograph(page, out / "viewer.png")
        browser.close()


def drawn_site(scratch: Path) -> None:
    """The page of the drawn dataset, with an entry of each classical baseline."""
    data = scratch / "data"
    prepare(Request(dataset=find_dataset(DATASET), data=data), progress=lambda *_: None)
    dataset = open_prepared(DATASET, data=data)
    for recipe in classical_recipes().values():
        masks = scratch / f"masks-{recipe.name}"
        predict(recipe, dataset, masks)
        result = evaluate(masks, dataset=DATASET, data=data)
        read = masks_of(result, masks)
        digest = predictions_digest((item.id, read(item.id)) for item in result.target.items)
        entry = Entry(
            name=recipe.name,
            status="verified",
            authors=("segbench maintainers",),
            date=dt.date(2026, 11, 23),
            dataset=DATASET,
            dataset_version=dataset.version,
            split="test",
            method=Method(title=recipe.title, description=recipe.description),
            training=Training(data="none"),
            cost=Cost(),
            digests=Digests(data=result.digest, predictions=digest),
            segbench_version=__version__,
        )
        write_entry(entry, result, read, scratch / "results" / DATASET / recipe.name)
    write_site(standings(scratch / "results"), (), scratch / "drawn", data=data)


def photograph(page: Page, path: Path) -> None:
    """What the window shows, in a palette that a README loads fast."""
    page.screenshot(path=path)
    with Image.open(path) as shot:
        shot.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
