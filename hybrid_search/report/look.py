"""The look of a report: one theme of CSS variables, which have the light or the dark colours of the charts."""

from pathlib import Path

from hybrid_search.charts.theme import DARK, LIGHT, Theme

HUES = ("surface", "ink", "muted", "grid", "convolution", "hybrid", "attention", "other", "neutral")
CODE = {"light": "#f5f7f9", "dark": "#1e2631"}  # background of code

# A picture with this theme has the colours of its page.
PAGE = Theme(
    name="page",
    surface="var(--surface)",
    ink="var(--ink)",
    muted="var(--muted)",
    grid="var(--grid)",
    convolution="var(--convolution)",
    hybrid="var(--hybrid)",
    attention="var(--attention)",
    other="var(--other)",
    neutral="var(--neutral)",
    series=("var(--series-0)", "var(--series-1)"),
    scale=LIGHT.scale,
    categories=tuple(f"var(--category-{i})" for i in range(len(LIGHT.categories))),
    pale=(0.5, 0.2),  # between those of the two themes
)


def style() -> str:
    """Return the style sheet: light, dark if the reader prefers it, and light on paper."""
    css = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")
    dark = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}"
    return f":root {{ {_variables(LIGHT)} }}\n{dark}\n{css}"


def _variables(theme: Theme) -> str:
    values = {name: getattr(theme, name) for name in HUES}
    values |= {f"series-{i}": hue for i, hue in enumerate(theme.series)}
    values |= {f"category-{i}": hue for i, hue in enumerate(theme.categories)}
    values["code"] = CODE[theme.name]
    return " ".join(f"--{name}: {value};" for name, value in values.items())
