"""Make the pictures of the README from a finished search: `make pictures`, or `python docs/pictures.py [NAME]`.

docs/front.png is the front as the page draws it, docs/page.png the whole page with the knee selected. The table of the
front in README.md is written again. The script needs /usr/bin/chromium (apt-get install chromium).
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import sync_playwright

from hybrid_search import Ledger
from hybrid_search.analysis.picks import pick_trial

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
START, END = "<!-- front -->\n", "<!-- /front -->\n"
TIMEOUT = 60_000  # ms, for one drawing


def main() -> None:
    """Serve the page, take its pictures, and write the table into the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", help="the search; default: the newest")
    parser.add_argument("--db", help="the database")
    parser.add_argument("--port", type=int, default=8097, help="a free port for the page")
    options = parser.parse_args()
    with Ledger(options.db, read_only=True) as ledger:
        search = ledger.search(options.name)
        knee = pick_trial(ledger, search, "knee").trial.number
    database = [] if options.db is None else ["--db", options.db]
    command = [sys.executable, "-c", "from hybrid_search.cli import main; main()"]
    server = subprocess.Popen(
        [*command, "dashboard", "--port", str(options.port), *database], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        server.stderr.readline()  # the address, once the server listens
        _take_pictures(f"http://localhost:{options.port}/", search.name, knee)
    finally:
        server.terminate()
        server.wait()
    front = [*command, "front", search.name, *database]
    look = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": "80"}  # as in a terminal: one stage on each line
    _write_table(subprocess.run(front, capture_output=True, text=True, check=True, env=look).stdout)


def _take_pictures(address: str, search: str, trial: int) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, device_scale_factor=1.5)
        page.goto(f"{address}?{urlencode({'search': search, 'trials': str(trial)})}")
        page.wait_for_selector("#page[data-ready=true]", timeout=TIMEOUT)
        page.wait_for_selector("#detail svg", timeout=TIMEOUT)
        page.screenshot(path=HERE / "page.png", full_page=True)
        page.locator("#front").screenshot(path=HERE / "front.png")
        browser.close()


def _write_table(table: str) -> None:
    readme = HERE.parent / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    lines = "\n".join(f"    {line}".rstrip() for line in table.splitlines())
    readme.write_text(f"{before}{START}\n{lines}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
