"""Kedro dataset that stores an HTML page."""

import html
import re
from pathlib import Path

from ..staleness.kedro_internals import HTMLPreview, load_path
from .atomic import AtomicDataset, path_from_here


class HTMLDataset(AtomicDataset[str]):
    """Stores a self-contained HTML page; kedro-viz shows the page's title and description.

    Examples:
        .. code-block:: yaml

            report:
              type: s10_pipeline.datasets.html.HTMLDataset
              filepath: data/08_reporting/report.html
              versioned: true
    """

    def encode(self, data: str) -> bytes:
        return data.encode()

    def read(self, path: Path) -> str:
        return path.read_text(encoding="utf-8")

    def preview(self) -> HTMLPreview:
        """Return title, description and path of the page as one line of HTML, because newlines break kedro-viz."""
        page = self.load()
        title = re.search(r"<title>(.*?)</title>", page, re.DOTALL)
        description = re.search(r'<meta name="description" content="(.*?)"', page, re.DOTALL)
        parts = [f"<b>{_one_line(title[1])}</b>"] if title else []
        parts += [_one_line(description[1])] if description else []
        parts.append(f"<code>{html.escape(path_from_here(load_path(self)))}</code>")
        # Limit the width by a style, because long lines would overflow kedro-viz's panel.
        style = "margin: 0 20px; max-width: 370px; white-space: normal; overflow-wrap: anywhere"
        return HTMLPreview(f'<p style="{style}">' + "<br/>".join(parts) + "</p>")


def _one_line(text: str) -> str:
    return " ".join(text.split())
