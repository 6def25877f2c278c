"""Opening pages of the site in a browser without a network, and measuring in the page what a reader sees."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

# WCAG's contrast of every visible run of text against what is painted behind it, worst first.
CONTRASTS = """
() => {
  const parse = (text) => {
    const n = (text.match(/[\\d.]+/g) || ["0", "0", "0", "0"]).map(Number);
    const scale = text.startsWith("color(") ? 255 : 1;
    return [n[0] * scale, n[1] * scale, n[2] * scale, n.length > 3 ? n[3] : 1];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[3] * top[i] + (1 - top[3]) * below[i]).concat([1]);
  const luminance = (c) => {
    const decoded = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = c.slice(0, 3).map((v) => decoded(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const canvas = () => (document.documentElement.dataset.theme === "dark" ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  const background = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) {
      const layer = parse(getComputedStyle(e).backgroundColor);
      if (layer[3] > 0) layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((below, top) => over(top, below), canvas());
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const elements = new Map();
  const colours = new Set();  // of code: a word of a kind looks like every other in boxes of one kind
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim(), element = walker.currentNode.parentElement;
    const code = element.tagName === "SPAN" && element.closest("pre");
    const kind = code && `${element.className}|${element.parentElement.className}|${code.parentElement.className}`;
    if (!text || elements.has(element) || (code && colours.has(kind))) continue;
    elements.set(element, text);
    if (code && element.checkVisibility()) colours.add(kind);
  }
  document.querySelectorAll("mjx-container").forEach((e) => elements.set(e, "mathematics"));
  for (const [element, text] of elements) {
    if (["SCRIPT", "STYLE", "NOSCRIPT", "TITLE"].includes(element.tagName)) continue;
    if (!element.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    const box = element.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) continue;
    const style = getComputedStyle(element), below = background(element);
    const ink = luminance(over(parse(style.color), below)), ground = luminance(below);
    const ratio = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    found.push({ratio, text: text.slice(0, 40), tag: element.tagName.toLowerCase(), name: String(element.className),
                color: style.color, background: below.map(Math.round).join(" "),
                inside: element.closest(".bd-article, .bd-content") ? "article" : "frame",
                kinds: [".pk-claim", "figcaption", "td, th", "a", "code, pre", "p, li", "mjx-container"]
                  .filter((k) => element.closest(k))});
  }
  return found.sort((a, b) => a.ratio - b.ratio);
}
"""

# Text of the article in which TeX is left that should have been typeset.
RAW_TEX = r"""
() => {
  const skip = "script, style, pre, code, mjx-container, textarea";
  const tex = /\$[^$]+\$|\\\(|\\\[|\\(frac|beta|lambda|sum|hat)\b/;
  const article = document.querySelector(".bd-article") || document.body;
  const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.data;
    if (!walker.currentNode.parentElement.closest(skip) && tex.test(text))
      found.push(text.trim());
  }
  return found;
}
"""

# Drawings are loaded when they come into sight; here all are, also those for the other background.
DRAWN = """
() => Promise.all([...document.images].map((image) => {
  image.loading = "eager";
  return image.complete || new Promise((done) => { image.onload = image.onerror = done; });
})).then(() => true)
"""

IMAGES = """
() => [...document.images].map((image) => ({
  alt: image.getAttribute("alt"), source: image.src.slice(0, 80), natural: image.naturalWidth, width: image.clientWidth,
  visible: image.checkVisibility(), figure: Boolean(image.closest("figure, .cell_output")),
  kind: image.className, room: image.closest("figure, div") ? image.closest("figure, div").clientWidth : innerWidth,
}))
"""


# Of the section on running a page: its copy button with what that copies, and the link to its notebook.
RUNNING = """
() => {
  const section = document.querySelector("#run-it-yourself"), block = section?.querySelector("div.highlight-bash");
  const buttons = [...block?.querySelectorAll("button.copybtn") ?? []], link = section?.querySelector("a.download");
  const target = buttons[0]?.dataset.clipboardTarget;
  return {buttons: buttons.length, copied: target ? document.querySelector(target).innerText : "",
          notebook: link?.getAttribute("href"), download: link?.hasAttribute("download")};
}
"""

# The rules of WCAG 2.1, A and AA, with two that axe keeps apart: names that differ from the words that are seen, and
# content outside of all landmarks. Contrast is measured above, of every word, in a twentieth of the time.
AXE = """
async (landmarks) => {
  const report = await axe.run(document, {
    runOnly: {type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]},
    rules: {
      "color-contrast": {enabled: false}, "label-content-name-mismatch": {enabled: true}, region: {enabled: landmarks},
    },
    resultTypes: ["violations"], preload: false,
  });
  return report.violations.flatMap((rule) => rule.nodes.map((node) => `${rule.id}: ${node.html}`));
}
"""

# The boxes that scroll, and whether the tabulator key reaches them or something inside them.
SCROLLING = """
() => {
  const stops = "a[href], button, summary, [tabindex='0']";
  return [...document.querySelectorAll(".bd-article *")]
    .filter((box) => box.clientWidth > 0 && box.scrollWidth > box.clientWidth + 1
                     && ["auto", "scroll"].includes(getComputedStyle(box).overflowX))
    .map((box) => ({name: `${box.tagName} ${box.className}`,
                    reached: box.tabIndex >= 0 || Boolean(box.querySelector(stops))}));
}
"""

# What would be cut off in print, where nothing scrolls: boxes that stand out of the paper or hide a part of themselves.
CUT = """
() => [...document.querySelectorAll(".bd-article :is(pre, table, .pk-figure, img, div.math, .wide)")]
  .filter((box) => box.checkVisibility() && box.clientWidth > 0)
  .filter((box) => box.getBoundingClientRect().right > innerWidth + 2
                   || (box.scrollWidth > box.clientWidth + 2 && getComputedStyle(box).overflowX !== "visible"))
  .map((box) => `${box.tagName} ${box.className}: ${box.textContent.trim().slice(0, 60)}`)
"""


@contextmanager
def a_browser(executable: str) -> Iterator[Browser]:
    """Start the Chromium at `executable`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page of the site opened from its file, offline, and all that went wrong meanwhile."""

    def __init__(self, browser: Browser, site: Path, theme: str = "light", size: dict[str, int] | None = None) -> None:
        self._site, self.size = site, size or DESK
        self.context = browser.new_context(
            offline=True, color_scheme=theme, viewport=self.size, reduced_motion="reduce"
        )
        self.page: Page = self.context.new_page()
        self.forget()
        self.page.on("request", lambda r: self.requests.append(r.url))
        self.page.on("requestfailed", lambda r: self.failed.append(r.url))
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type in {"error", "warning"} else None)

    def forget(self) -> None:
        """Leave the page for an empty one, as large as at first, and begin new lists of what goes wrong."""
        self.page.goto("about:blank")
        self.page.set_viewport_size(self.size)
        self.requests: list[str] = []
        self.failed: list[str] = []
        self.errors: list[str] = []

    def open(self, document: str, *, drawn: bool = True) -> Page:
        """Open ``chapters/x`` or ``search.html?q=y``, wait until it is typeset, and until all of it is drawn."""
        name, mark, query = document.partition("?")
        address = (self._site / (name if name.endswith(".html") else f"{name}.html")).as_uri() + mark + query
        self.page.goto(address, wait_until="load")
        self.page.wait_for_function(
            "() => !window.MathJax || !MathJax.startup || MathJax.startup.promise.then(() => true)"
        )
        if drawn:
            self.page.evaluate(DRAWN)
        return self.page

    def axe(self, *, landmarks: bool = True) -> list[str]:
        """Return what axe-core finds wrong with the page, rule by rule; whether all stands in landmarks costs most."""
        if not self.page.evaluate("typeof axe === 'object'"):
            self.page.evaluate(Axe().axe_script)
        return self.page.evaluate(AXE, landmarks)

    def measure(self, script: str) -> Any:
        """Run one of the scripts of this module in the page."""
        return self.page.evaluate(script)

    def close(self) -> None:
        """Close the page."""
        self.context.close()
