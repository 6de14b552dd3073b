"""Takes the README's pictures from a finished search: `make pictures`, or `python docs/pictures.py [NAME] [--db URL]`.

docs/front.png is the front as the page draws it, docs/page.png the whole page with the knee and the best network
pinned; the table of the front in README.md is written anew. Needs /usr/bin/chromium (apt-get install chromium).
"""

import argparse
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import sync_playwright

from hybrid_search import Ledger
from hybrid_search.export import choose_trial

HERE = Path(__file__).parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
START, END = "<!-- front -->\n", "<!-- /front -->\n"


def main() -> None:
    """Serve the page, photograph it, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?")
    parser.add_argument("--db")
    parser.add_argument("--port", type=int, default=8097)
    asked = parser.parse_args()
    with Ledger(asked.db, read_only=True) as ledger:
        search = ledger.search(asked.name)
        pinned = dict.fromkeys(choose_trial(ledger, search, pick).number for pick in ("knee", "best"))
    tail = [] if asked.db is None else ["--db", asked.db]
    command = [sys.executable, "-c", "from hybrid_search.cli import main; main()"]
    server = subprocess.Popen(
        [*command, "dashboard", "--port", str(asked.port), *tail], stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        server.stderr.readline()  # says where it listens, once it does
        _photograph(f"http://localhost:{asked.port}/", search.name, list(pinned))
    finally:
        server.terminate()
        server.wait()
    table = subprocess.run([*command, "front", search.name, *tail], capture_output=True, text=True, check=True).stdout
    readme = HERE.parent / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    lines = "\n".join(f"    {line}".rstrip() for line in table.splitlines())
    readme.write_text(f"{before}{START}\n{lines}\n\n{END}{after}", encoding="utf-8")


def _photograph(address: str, search: str, pinned: list[int]) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900}, device_scale_factor=1.5)
        page.goto(f"{address}?{urlencode({'search': search, 'trials': str(pinned[0])})}")
        page.wait_for_selector("#page[data-ready=true]", timeout=60_000)
        page.wait_for_selector("#detail svg", timeout=60_000)
        page.screenshot(path=HERE / "page.png", full_page=True)
        page.locator("#front").screenshot(path=HERE / "front.png")
        browser.close()


if __name__ == "__main__":
    main()
