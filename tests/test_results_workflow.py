"""The workflow that checks entries: harmless for a stranger to trigger, and its commands run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from segbench.board.verify import verify_entry
from segbench.masks.encode import encode_mask
from segbench.masks.prepared import PreparedDataset

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "results.yml"
TEXT = WORKFLOW.read_text()
CONTENT = yaml.safe_load(TEXT)
(JOB,) = CONTENT["jobs"].values()
STEPS = JOB["steps"]


def test_it_holds_no_secret_and_may_write_nothing():
    on = CONTENT[True]  # YAML 1.1 reads the key `on` as true
    assert list(on) == ["pull_request"]  # never pull_request_target, which has secrets
    assert CONTENT["permissions"] == {"contents": "read"}
    assert "permissions" not in JOB
    assert "secrets." not in TEXT
    assert "secrets[" not in TEXT
    assert "timeout-minutes" in JOB


def test_actions_are_pinned_and_keep_no_credentials():
    used = [step for step in STEPS if "uses" in step]
    assert used
    for step in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", step["uses"])
        assert re.search(rf"{step['uses']} # v\d+\.\d+\.\d+\n", TEXT)  # whose commit it is
        if "checkout" in step["uses"]:
            assert step["with"]["persist-credentials"] is False


def test_what_strangers_write_is_in_no_shell_text():
    """Expressions stand in `env`, never in `run`: a branch's name may hold a command."""
    assert not [step for step in STEPS if "${{" in step.get("run", "")]


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository whose branch adds one of our own entries, as its submitter would."""
    root = tmp_path / "checkout"
    shutil.copytree(ROOT / "results", root / "results")
    new = root / "results" / "ph2" / "otsu"
    aside = Path(shutil.move(new, tmp_path / "otsu"))

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-qm", "main")
    git("switch", "-qc", "branch")
    shutil.move(aside, new)
    about = json.loads((new / "entry.json").read_text())
    (new / "entry.json").write_text(json.dumps({**about, "status": "reported"}))
    git("add", "-A")
    git("commit", "-qm", "entry")
    return root


def run(step: dict[str, str], checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A step as the runner runs it, with our own segbench on the path."""
    program = checkout.parent / "bin"
    program.mkdir(exist_ok=True)
    (program / "segbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m segbench "$@"\n')
    (program / "segbench").chmod(0o755)
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=checkout,
        env={**os.environ, "PATH": f"{program}{os.pathsep}{os.environ['PATH']}", "SINCE": "main",
             "MAINTAINER": "", "SEGBENCH_DATA": str(checkout.parent / "data"), **env},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


def named(name: str) -> dict[str, str]:
    return next(step for step in STEPS if step.get("name") == name)


def test_its_commands_check_an_entry_of_ours(checkout):
    checked = run(named("Schema, rows against scores, masks against digests"), checkout)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.startswith(str(Path("results/ph2/otsu")))
    compared = run(named("The comparison with the other entries"), checkout)
    assert compared.returncode == 0, compared.stdout + compared.stderr
    (entry,) = json.loads((checkout / "comparison" / "verify.json").read_text())["entries"]
    assert entry["ok"]
    standings = json.loads((checkout / "comparison" / "leaderboard.json").read_text())
    assert "otsu" in json.dumps(standings)
    none = run(named("Score entries of synthetic-lesions again"), checkout)
    assert none.returncode == 0, none.stderr
    assert "no entries changed since main" in none.stdout


def test_its_commands_refuse_a_strangers_change_but_not_a_maintainers(checkout):
    about = checkout / "results" / "ph2" / "otsu" / "entry.json"
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "status": "verified"}))
    step = named("Schema, rows against scores, masks against digests")
    refused = run(step, checkout)
    assert refused.returncode == 1
    assert "status that maintainers give" in refused.stderr
    assert run(step, checkout, MAINTAINER="--maintainer").returncode == 0


def test_the_data_lie_outside_what_a_stranger_brings():
    assert "SEGBENCH_DATA" not in JOB["env"]
    install = named("Install")
    assert install["working-directory"] == "trusted"
    assert 'SEGBENCH_DATA=$RUNNER_TEMP/data" >> "$GITHUB_ENV"' in install["run"]
    assert JOB["defaults"]["run"]["working-directory"] == "submission"


def commit(checkout: Path, message: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (["add", "-A", "-f"], [*identity, "commit", "-qm", message]):
        subprocess.run(["git", *command], cwd=checkout, check=True, capture_output=True)


def test_a_stranger_who_brings_data_a_card_or_a_board_is_refused_with_the_list(checkout):
    for name in ("data/ph2/dataset.json", "datasets/ph2/digests.toml", "results/README.md"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("mine")
    commit(checkout, "attack")
    refused = run(named("Schema, rows against scores, masks against digests"), checkout)
    assert refused.returncode == 1
    assert "change outside results/<dataset>/<entry>/ (3)" in refused.stderr
    assert "data/ph2/dataset.json, datasets/ph2/digests.toml, results/README.md" in refused.stderr


def test_references_of_a_strangers_own_score_nothing(tmp_path, synthetic, checkout, board_results):
    """A folder with a dataset.json, of masks that make a prediction perfect."""
    name = "synthetic-lesions"
    data = tmp_path / "own"
    shutil.copytree(synthetic / name, data / name)
    made = PreparedDataset.open(data / name)
    row = made.select("test")[0]
    changed = 1 - made.read_mask(row)
    (data / name / row.mask).write_bytes(encode_mask(changed, made.classes))
    prepared = run({"run": f"segbench prepare {name}"}, checkout, SEGBENCH_DATA=str(data))
    assert prepared.returncode == 1
    assert "the reference masks of split test have the digest" in prepared.stderr
    found = verify_entry(board_results / name / "far", data=data)
    assert not found.ok
    assert "reference masks that are not the pinned ones" in found.problems.text()


def test_every_segbench_command_in_it_exists():
    """Steps that need a download are not run here; their command lines are."""
    commands = re.findall(r"^\s*(?:run: )?segbench (.+?)(?: \|\||$)", TEXT, flags=re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        words = command.split(">")[0].replace('"$SINCE"', "main").replace("$MAINTAINER", "").split()
        known = subprocess.run(
            [sys.executable, "-m", "segbench", words[0], "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert not [word for word in words if word.startswith("--") and word not in known], command
