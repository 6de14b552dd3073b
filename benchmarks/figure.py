"""Save a Plotly figure as a PNG, drawn by Chromium like on the page."""

from pathlib import Path

import plotly.graph_objects as go
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"


def save(figure: go.Figure, path: Path, width: int = 900, height: int = 420) -> None:
    """Write `figure` to `path`. Playwright raises an error if Chromium is missing (apt-get install chromium)."""
    figure.update_layout(width=width, height=height, template="plotly_white", font_family="sans-serif", margin_t=40)
    page_text = figure.to_html(include_plotlyjs=True, config={"staticPlot": True})
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
        page.set_content(page_text)
        page.wait_for_selector(".main-svg")
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, clip={"x": 8, "y": 8, "width": width - 16, "height": height - 16})
        browser.close()
