"""Build the documentation as a site in site/: `python infra/site/build.py`, which `make docs` runs.

Mermaid is installed once, by the hash in package-lock.json, into .stack/site; the site serves its own copy of it.
A dead link or anchor fails the build.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ROOT / ".stack/site"
PACKAGE = ("package.json", "package-lock.json")


def main() -> int:
    """Install what the pages load, then build; arguments go to MkDocs. Returns the exit status."""
    try:
        install()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"docs: cannot install Mermaid with npm: {error}", file=sys.stderr)
        return 1
    # not with --quiet: MkDocs then does not count its warnings, and --strict lets them pass
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(ROOT / "mkdocs.yml"), *sys.argv[1:]]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if built.returncode:
        print(built.stdout + built.stderr, file=sys.stderr)
    return built.returncode


def install() -> None:
    """Install the locked packages, unless they are there.

    Raises:
        CalledProcessError: npm failed.
        OSError: There is no npm.
    """
    digest = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = MODULES / "installed"
    if stamp.is_file() and stamp.read_text() == digest:
        return
    MODULES.mkdir(parents=True, exist_ok=True)
    for name in PACKAGE:
        shutil.copy(HERE / name, MODULES / name)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=MODULES, check=True)
    stamp.write_text(digest)


if __name__ == "__main__":
    sys.exit(main())
