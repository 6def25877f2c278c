// Notes over links and symbols. Under the mouse or the keyboard's focus a link shows its note; on a touch screen the first
// tap does, and the second follows the link. Escape closes, and the pointer may move onto the note.
(() => {
  const LINKS = "a[data-note], a.pk-equation, .bd-article a.reference.internal[title]";
  const WAIT = 250;  // milliseconds under the mouse: one that passes by shows nothing, and one that leaves may come back
  const note = document.createElement("div");
  note.id = "pk-note";
  note.setAttribute("role", "tooltip");
  note.hidden = true;
  let shown = null, waiting = 0, touched = false, letters = {};

  function said(on) {
    if (on.matches("mjx-mi")) return meaning(on);
    if (on.matches(".pk-equation")) return [...target(on).querySelectorAll("mjx-container")].map((e) => e.cloneNode(true));
    if (on.title) {  // or the browser would show it beside the note
      on.dataset.title = on.title;
      on.removeAttribute("title");
    }
    return [on.dataset.note, on.dataset.title].filter(Boolean).map(paragraph);
  }

  const target = (link) => document.getElementById(decodeURIComponent(link.hash.slice(1))) ?? document.createElement("p");

  function paragraph(text) {
    const made = document.createElement("p");
    made.textContent = text;
    return made;
  }

  // A symbol's letter: MathJax names the glyph by its code, which is that of an italic or bold one.
  function letter(symbol) {
    const code = /mjx-c([0-9A-F]+)/.exec(symbol.querySelector("mjx-c")?.className ?? "");
    return code ? String.fromCodePoint(parseInt(code[1], 16)).normalize("NFKD").normalize("NFKD") : "";
  }

  const meaning = (symbol) => (letters[letter(symbol)] ?? []).map(paragraph);

  function show(on) {
    clearTimeout(waiting);
    if (shown === on) return;
    hide();
    const parts = said(on);
    if (!parts.length) return;
    note.replaceChildren(...parts);
    note.hidden = false;
    shown = on;
    if (on.matches("a")) on.setAttribute("aria-describedby", note.id);
    place();
    if (on.matches("mjx-mi")) window.MathJax?.typesetPromise?.([note]).then(() => shown === on && place());
  }

  function place() {
    const at = shown.getBoundingClientRect(), box = note.getBoundingClientRect(), edge = 8;
    const above = at.top - box.height - edge;
    const below = Math.min(at.bottom + edge, innerHeight - box.height - edge);
    note.style.top = `${Math.max(edge, above > edge ? above : below)}px`;
    note.style.left = `${Math.max(edge, Math.min(at.left, innerWidth - box.width - edge))}px`;
  }

  // Focus scrolls a link into sight, so that a note may move with it.
  function follow() {
    if (!shown) return;
    const at = shown.getBoundingClientRect();
    if (at.bottom < 0 || at.top > innerHeight) conceal();
    else place();
  }

  function conceal() {
    shown?.removeAttribute("aria-describedby");
    shown = null;
    note.hidden = true;
  }

  function hide() {
    clearTimeout(waiting);
    conceal();
  }

  const noted = (event) => event.target.closest?.(LINKS) ?? symbol(event.target.closest?.(".bd-article mjx-mi"));
  const symbol = (found) => (found && letters[letter(found)] ? found : null);
  const later = (act) => { clearTimeout(waiting); waiting = setTimeout(act, WAIT); };

  function start() {
    (document.querySelector("main") ?? document.body).append(note);
    letters = JSON.parse(document.getElementById("pk-letters")?.textContent ?? "{}");
    addEventListener("pointerdown", (event) => { touched = event.pointerType === "touch"; });
    addEventListener("pointerover", (event) => {
      if (event.pointerType === "touch") return;
      const on = noted(event);
      if (note.contains(event.target) || (on && on === shown)) clearTimeout(waiting);
      else if (on) later(() => show(on));
      else if (shown || waiting) later(hide);
    });
    addEventListener("focusin", (event) => {
      const on = event.target.closest(LINKS);
      if (on && !touched) show(on);
      else if (!on) hide();
    });
    addEventListener("focusout", (event) => { if (event.target === shown) hide(); });
    addEventListener("click", (event) => {
      const on = noted(event);
      if (on && on !== shown && touched) {
        event.preventDefault();
        show(on);
      } else if (!note.contains(event.target)) hide();
    });
    addEventListener("keydown", (event) => {
      touched = false;
      if (event.key === "Escape") hide();
    });
    addEventListener("scroll", follow, {passive: true});
  }

  if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
  else start();
})();
