"""Fetch the sample archives of the RAR tests into a folder: `make test` does it once.

    python benchmark/tools/rar_samples.py .venv/rar-samples

No free program writes RAR, so the tests read what WinRAR and rar made: `test/files/` of the source
distribution of rarfile (Marko Kreen, ISC licence), which pip downloads. Where it cannot be had the
folder is not made, and the tests that need it are skipped with the reason.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "4.5"
SHA256 = "7425d0afa180f0092db903abb1526a130b36858980aad90b3694f48e41420155"


def main(out: Path) -> None:
    """Make the folder, whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", f"rarfile=={VERSION}", "--dest", scratch]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        packed = next(Path(scratch).glob("rarfile-*.tar.gz"), None)
        if packed is None:
            print(f"no RAR samples: {(done.stderr.strip() or 'nothing was downloaded')[-300:]}")
            return
        if (found := hashlib.sha256(packed.read_bytes()).hexdigest()) != SHA256:
            print(f"no RAR samples: {packed.name} has the sha256 {found}, expected {SHA256}")
            return
        made = Path(scratch) / "made"
        made.mkdir()
        with tarfile.open(packed) as archive:
            for member in archive:
                if member.isfile() and "/test/files/" in member.name:
                    stream = archive.extractfile(member)
                    if stream is not None:
                        (made / Path(member.name).name).write_bytes(stream.read())
        made.rename(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
