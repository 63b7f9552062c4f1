"""Check that links inside the built site lead to a page and an anchor, and that no page loads files from a network.

Usage: python docs/check_links.py target/site
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Anchors of a page, its links, and the files that it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        elif tag == "link" and "href" in values and values.get("rel") != "canonical":
            self.loaded.append(values["href"])
        elif tag in ("script", "img", "source", "iframe") and "src" in values:
            self.loaded.append(values["src"])


def broken(root: Path) -> tuple[int, list[str]]:
    """Return the number of links that were checked, and descriptions of those that are broken."""
    # The theme ships a template that is no page of the site.
    pages = {path: Page(path) for path in root.rglob("*.html") if path.name != "webpack-macros.html"}
    n_checked, found = 0, []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                if link in page.loaded and url.scheme != "data":
                    found.append(f"{path.relative_to(root)}: loads {link}")
                continue
            n_checked += 1
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (
                url.fragment and target in pages and unquote(url.fragment) not in pages[target].anchors
            ):
                found.append(f"{path.relative_to(root)}: {link}")
    return n_checked, found


if __name__ == "__main__":
    number, messages = broken(Path(sys.argv[1]).resolve())
    for message in messages:
        print(message)
    print(f"{number} links inside the site, {len(messages)} broken")
    raise SystemExit(bool(messages))
