"""The same work on a Dask cluster of real processes: equal to the bit, whoever dies on the way."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import segbench as sb
from segbench.masks.decode import MaskFileError
from segbench.masks.prepared import open_prepared
from segbench.masks.submission import open_submission
from segbench.scoring import cluster as clusters
from segbench.scoring.evaluate import score_target
from segbench.scoring.files import scores_json
from segbench.scoring.journal import JOURNAL, Journaled
from segbench.scoring.tally import Policy, _Counting
from segbench.scoring.target import prepared_target

distributed = pytest.importorskip("distributed", reason="pip install 'segbench[dask]'")

pytestmark = [
    pytest.mark.xdist_group("dask"),  # one cluster, not one a worker of pytest
    # distributed leaves sockets and loops to the collector when its processes are killed
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module")
def guess(synthetic, tmp_path_factory) -> Path:
    """Predictions of the drawn test split: each mask moved by some pixels."""
    folder = tmp_path_factory.mktemp("guess")
    for i, sample in enumerate(sb.load("synthetic-lesions", "test", data=synthetic)):
        moved = np.roll(sample.mask, (i % 9, -(i % 7)), (0, 1))
        Image.fromarray(moved * 255).save(folder / f"{sample.id}.png")
    return folder


@pytest.fixture(scope="module")
def here(synthetic, guess) -> sb.Evaluation:
    return sb.evaluate(guess, data=synthetic, jobs=1)


def dask(*arguments: str, **options) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        **options,
    )


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """A scheduler's address and a function that starts a worker, each a process of its own."""
    place = tmp_path_factory.mktemp("dask")
    file = place / "scheduler.json"
    quiet = ("--no-dashboard",)
    running = [
        dask(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file), *quiet
        )
    ]
    deadline = time.monotonic() + 60
    while not file.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    address = distributed.Client(scheduler_file=str(file), timeout=30)

    def worker(**options) -> subprocess.Popen:
        started = dask(
            *("worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", *quiet),
            *("--local-directory", str(place)),
            cwd=place,
            **options,
        )
        running.append(started)
        return started

    yield address, worker
    address.close()
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def two(scheduler):
    """The address, with two workers."""
    client, worker = scheduler
    worker(), worker()
    client.wait_for_workers(2, timeout=60)
    return client.scheduler.address


def same(one: sb.Evaluation, other: sb.Evaluation) -> None:
    assert scores_json(one) == scores_json(other)
    pd.testing.assert_frame_equal(one.rows(), other.rows(), check_exact=True)


def test_a_cluster_says_the_same(two, synthetic, guess, here, monkeypatch):
    monkeypatch.setattr(clusters, "CHUNK", 7)
    with clusters.cluster(two) as engine:
        same(sb.evaluate(guess, data=synthetic, engine=engine), here)


def test_archives_tables_and_bare_references(two, synthetic, guess, here, tmp_path):
    with zipfile.ZipFile(tmp_path / "masks.zip", "w") as archive:
        for path in guess.iterdir():
            archive.write(path, f"masks/{path.name}")
    bare = synthetic / "synthetic-lesions" / "masks"
    with clusters.cluster(two) as engine:
        same(sb.evaluate(tmp_path / "masks.zip", data=synthetic, engine=engine), here)
        alone = {path.stem: np.asarray(Image.open(path)) for path in sorted(guess.iterdir())[:12]}
        for name in alone:
            shutil.copy(bare / f"{name}.png", tmp_path)
        (tmp_path / "references").mkdir()
        for path in tmp_path.glob("*.png"):
            path.rename(tmp_path / "references" / path.name)
        references = tmp_path / "references"
        far = sb.evaluate(alone, references=references, engine=engine)
    same(far, sb.evaluate(alone, references=references))


@pytest.fixture
def large(tmp_path) -> dict[str, Path]:
    """Folders of masks that take a while each."""
    rows, columns = np.indices((1400, 1400))
    for folder, shift in (("references", 0), ("predictions", 5)):
        (tmp_path / folder).mkdir()
        for i in range(18):
            disc = (rows - 700 - shift) ** 2 + (columns - 650 - 9 * i) ** 2 < (300 + 10 * i) ** 2
            Image.fromarray(disc.astype(np.uint8)).save(tmp_path / folder / f"disc{i:02d}.png")
    return {folder: tmp_path / folder for folder in ("references", "predictions")}


def test_killing_a_worker_loses_nothing(scheduler, two, large, monkeypatch):
    client, worker = scheduler
    monkeypatch.setattr(clusters, "CHUNK", 1)
    doomed = worker()
    client.wait_for_workers(3, timeout=60)
    pids = client.run(os.getpid)
    (address,) = [address for address, pid in pids.items() if pid == doomed.pid]
    done: list[int] = []
    killed_at: list[int] = []
    busy: list[object] = []

    def kill() -> None:  # while it works on a sample, and the others have more to do
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if len(done) > 2 and (keys := client.processing().get(address)):
                busy.extend(keys)
                killed_at.append(len(done))
                os.kill(doomed.pid, signal.SIGKILL)
                return

    killer = threading.Thread(target=kill)
    with clusters.cluster(two) as engine:
        killer.start()
        result = sb.evaluate(
            large["predictions"],
            references=large["references"],
            engine=engine,
            progress=lambda n, _of: done.append(n),
        )
    killer.join()
    assert doomed.wait(timeout=30) == -signal.SIGKILL
    assert busy, "it was killed when it had nothing to do"
    assert 2 < killed_at[0] < len(result.table)
    assert done == list(range(1, len(result.table) + 1))
    same(result, sb.evaluate(large["predictions"], references=large["references"]))


def test_what_is_wrong_is_said_as_ever(two, synthetic, guess, tmp_path):
    folder = shutil.copytree(guess, tmp_path / "guess")
    first, second, third, *_ = sorted(folder.iterdir())
    first.write_bytes(b"no PNG")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(second)
    third.unlink()
    said = []
    with clusters.cluster(two) as engine:
        for chosen in (None, engine):
            with pytest.raises(sb.SegbenchError) as refused:
                sb.evaluate(folder, data=synthetic, engine=chosen)
            said.append(str(refused.value))
    assert said[0] == said[1]
    assert all(path.stem in said[0] for path in (first, second, third))


def test_a_journal_on_a_cluster(two, synthetic, guess, tmp_path, monkeypatch):
    monkeypatch.setattr("segbench.scoring.journal.WRITE_EVERY_S", 0)
    monkeypatch.setattr(clusters, "CHUNK", 3)
    told: list[tuple[int, int]] = []

    def stop(done: int, _of: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    with clusters.cluster(two) as engine:
        kept = Journaled(engine, tmp_path / JOURNAL, lambda *n: told.append(n))
        with pytest.raises(KeyboardInterrupt):
            sb.evaluate(guess, data=synthetic, engine=kept, progress=stop)
        again = sb.evaluate(guess, data=synthetic, engine=kept)
    same(again, sb.evaluate(guess, data=synthetic))
    assert told == [(10, len(again.table))]


def test_the_command(segbench, two, synthetic, guess, tmp_path):
    common = ("evaluate", "--predictions", guess, "--data", synthetic, "--jobs", "2")
    for name, more in {"here": (), "far": ("--dask", two), "local": ("--dask", "local")}.items():
        ran = segbench(*common, "--out", tmp_path / name, *more)
        assert ran.code == 0, ran.err
    for name in ("far", "local"):
        for file in ("scores.json", "rows.parquet"):
            assert (tmp_path / name / file).read_bytes() == (tmp_path / "here" / file).read_bytes()


def test_workers_that_do_not_see_the_files(two, synthetic, guess, tmp_path):
    """As on other machines: what was listed here is not there."""
    gone = shutil.copytree(guess, tmp_path / "gone")
    unseen = open_submission(gone)
    shutil.rmtree(gone)
    said = r"cannot read a file.*gone.*must see"
    with clusters.cluster(two) as engine, pytest.raises(sb.SegbenchError, match=said) as refused:
        sb.evaluate(unseen, data=synthetic, engine=engine)
    assert os.uname().nodename in str(refused.value)


def test_another_dataset_under_the_same_path(two, synthetic, guess, tmp_path):
    data = shutil.copytree(synthetic, tmp_path / "data")
    dataset = open_prepared("synthetic-lesions", data=data)
    target = prepared_target(dataset, split="test", fold=None)
    info = data / "synthetic-lesions" / "dataset.json"
    digest = dataset.info["content_digest"]
    info.write_text(info.read_text().replace(digest, "0" * len(digest)))
    options = {"policy": Policy(), "options": sb.Options()}
    said = r"another dataset.*000000000000, expected"
    with clusters.cluster(two) as engine, pytest.raises(sb.SegbenchError, match=said):
        score_target(target, open_submission(guess), engine=engine, **options)


def test_a_worker_without_segbench_is_refused(scheduler, two, tmp_path):
    """It has another Python's environment: here, one where the package cannot be found."""
    client, worker = scheduler
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *more):\n"
        "        if name.partition('.')[0] == 'segbench':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    n = len(client.scheduler_info()["workers"])
    bare = worker(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    client.wait_for_workers(n + 1, timeout=60)
    try:
        with pytest.raises(sb.SegbenchError, match="has no segbench"), clusters.cluster(two):
            pass
    finally:
        bare.kill()
        bare.wait()


def test_a_worker_of_another_version_is_refused(two, synthetic, guess, monkeypatch):
    monkeypatch.setattr(clusters, "__version__", "9.9.9")
    with (
        pytest.raises(sb.SegbenchError, match=r"has segbench .*and this is 9\.9\.9"),
        clusters.cluster(two),
    ):
        pass
    monkeypatch.setattr(clusters, "_check_workers", lambda _client: None)  # it came later
    with (
        clusters.cluster(two) as engine,
        pytest.raises(sb.SegbenchError, match=r"has segbench .*and this is"),
    ):
        sb.evaluate(guess, data=synthetic, engine=engine)


def test_nobody_there(monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECT_S", 1)
    with (
        pytest.raises(sb.SegbenchError, match="no Dask scheduler answers"),
        clusters.cluster("tcp://127.0.0.1:9"),
    ):
        pass
    with (
        pytest.raises(sb.SegbenchError, match="expected the address"),
        clusters.cluster("nonsense://x"),
    ):
        pass


def test_no_workers(monkeypatch):
    monkeypatch.setattr(clusters, "_CONNECT_S", 1)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as empty,
        pytest.raises(sb.SegbenchError, match="has no workers; start some"),
        clusters.cluster(empty.scheduler_address),
    ):
        pass


def test_a_scheduler_that_goes_away(large, monkeypatch):
    monkeypatch.setattr(clusters, "CHUNK", 1)
    options = {"processes": False, "dashboard_address": "127.0.0.1:0", "protocol": "tcp"}
    with (
        distributed.LocalCluster(1, threads_per_worker=1, **options) as local,
        distributed.Client(local.scheduler_address, timeout=1) as client,
        pytest.raises(sb.SegbenchError, match="the scheduler is gone"),
    ):
        sb.evaluate(
            large["predictions"],
            references=large["references"],
            engine=clusters.Dask(client),
            progress=lambda done, _of: local.close() if done == 1 else None,
        )


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(sb.SegbenchError, match=r"pip install 'segbench\[dask\]'"),
        clusters.cluster("local"),
    ):
        pass


def test_an_error_of_a_file_is_pickled_whole():
    error = pickle.loads(pickle.dumps(MaskFileError("kind", "detail", hint="hint")))  # noqa: S301  our own
    assert (error.kind, error.detail, error.hint) == ("kind", "detail", "hint")
    assert str(error) == "kind: detail (hint)"


def test_a_chunk_is_small(synthetic, guess):
    """What is sent for some samples does not grow with how many there are."""
    dataset = open_prepared("synthetic-lesions", data=synthetic)
    target = prepared_target(dataset, split="test", fold=None)
    counting = _Counting(target, open_submission(guess), Policy(), None)
    chunk = target.items[:4]
    assert len(pickle.dumps((counting.part(chunk), chunk))) < 4000
