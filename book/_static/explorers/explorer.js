// What all explorers have in common: controls, figures, the state in the address, CSV, the Python lines, words.
// An explorer is {name, controls, presets, compute, figures, summary, numbers, facts, python}: figures are functions that
// return them, numbers are columns, facts single numbers, and the Python lines make both under the same names. Only this
// file touches the page.
"use strict";

(() => {
  const {refuse, OutOfRange} = prunekit;
  const STEPS = 400, FRAME = 25; // positions of a logarithmic slider; milliseconds that a moving slider may cost
  const defaults = (explorer) => Object.fromEntries(explorer.controls.map((c) => [c.id, c.value]));
  const numbersIn = (text) => String(text).split(/[\s,;]+/).filter(Boolean).map(Number);

  // Settings as numbers and words, refused by name where they are out of range. Both the page and the tests ask here.
  function checked(explorer, given) {
    const state = {}, asked = {...defaults(explorer), ...given};
    for (const control of explorer.controls) {
      const {id, label, type, min, max} = control, raw = asked[id];
      if (type === "choice") {
        if (!Object.hasOwn(control.options, raw))
          refuse(`${label} is ${raw}: give one of ${Object.keys(control.options).join(", ")}`);
        state[id] = raw;
        continue;
      }
      const read = type === "list" ? (Array.isArray(raw) ? raw : numbersIn(raw)) : String(raw).trim() === "" ? NaN : Number(raw);
      state[id] = read;
      if (control.shown && !control.shown(asked)) continue;
      const range = `from ${min} to ${max}`;
      if (type === "list") {
        if (read.length < control.least || read.length > control.most)
          refuse(`${label}: ${read.length} numbers are given: give ${control.least} to ${control.most}`);
        const bad = read.find((v) => !(v >= min && v <= max));
        if (bad !== undefined) refuse(`${label}: ${bad} is among them: give numbers ${range}`);
      } else if (!(read >= min && read <= max) || (type === "integer" && !Number.isInteger(read)))
        refuse(`${label} is ${Number.isNaN(read) ? JSON.stringify(raw) : read}: give a ${type === "integer" ? "whole " : ""}number ${range}`);
    }
    return state;
  }

  // What an explorer computes, with all parts that it computes only when they are asked for, or refused for one of them.
  function whole(result) {
    Object.values(result);
    return result;
  }

  // Evaluate an explorer at settings given by hand; raises OutOfRange, never returns NaN.
  prunekit.evaluate = (name, given, detail = 1) => {
    const explorer = prunekit.explorers[name];
    return whole(explorer.compute(checked(explorer, given), detail));
  };

  // State and address

  const toHash = (explorer, given) => "#" + new URLSearchParams(explorer.controls
    .filter((c) => !c.shown || c.shown(given)).map((c) => [c.id, given[c.id]])).toString();

  function fromHash(explorer, hash) {
    const given = defaults(explorer), said = new URLSearchParams(hash.replace(/^#/, ""));
    for (const c of explorer.controls) if (said.has(c.id)) given[c.id] = said.get(c.id);
    return given;
  }

  const csv = (columns) => {
    const names = Object.keys(columns), cell = (v) => (v === null || v === undefined ? "" : String(v));
    const long = Math.max(...names.map((n) => columns[n].length));
    return [names.join(","), ...Array.from({length: long}, (_, i) => names.map((n) => cell(columns[n][i])).join(","))].join("\n") + "\n";
  };

  // Elements

  function element(kind, attributes = {}, ...children) {
    const node = document.createElement(kind);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  }

  // A logarithmic slider counts its steps from `least`; if 0 is allowed it is the first of them.
  const position = (c, value) => {
    if (c.scale !== "log") return value;
    const least = c.least ?? c.min;
    return value <= 0 ? 0 : Math.max(c.min === 0 ? 1 : 0, Math.round(STEPS * Math.log(value / least) / Math.log(c.max / least)));
  };
  const valueAt = (c, at) => {
    if (c.scale !== "log") return at;
    const least = c.least ?? c.min;
    if (at === 0) return c.min;
    const value = Number((least * (c.max / least) ** (at / STEPS)).toPrecision(3));
    return c.type === "integer" ? Math.round(value) : Math.max(c.min, Math.min(c.max, value));
  };

  class Explorer {
    constructor(explorer, place) {
      this.explorer = explorer;
      this.place = place;
      this.given = fromHash(explorer, location.hash);
      this.inputs = {};
      this.detail = 1;
      this.unseen = new Set(); // figures out of sight, which wait until the settings rest
      this.sight = new IntersectionObserver((entries) => {
        for (const {target, isIntersecting} of entries) this.unseen[isIntersecting ? "delete" : "add"](target);
      });
      this.build();
      addEventListener("hashchange", () => {
        if (location.hash === this.address || !location.hash.includes("=")) return;
        this.set(fromHash(explorer, location.hash));
      });
      new ResizeObserver(() => this.redraw()).observe(this.body);
      this.set(this.given);
      place.classList.add("pkx-ready");
    }

    build() {
      const {explorer, place} = this, id = `pkx-${explorer.name}`;
      this.presets = explorer.presets.map((preset) => element("button", {type: "button", "aria-pressed": "false",
        onclick: () => this.set({...defaults(explorer), ...preset.state})}, preset.name));
      this.controls = element("form", {class: "pkx-controls", "aria-label": "Settings", onsubmit: (e) => e.preventDefault()});
      for (const group of new Set(explorer.controls.map((c) => c.group)))
        this.controls.append(element("fieldset", {}, element("legend", {}, group),
          ...explorer.controls.filter((c) => c.group === group).map((c) => this.control(c))));
      this.figures = element("div", {class: "pkx-figures"});
      this.problem = element("p", {class: "pkx-problem", role: "alert", hidden: true});
      this.summary = element("p", {class: "pkx-summary", id: `${id}-summary`, "aria-live": "polite"});
      this.link = element("a", {class: "pkx-button", href: "#"}, "Link to these settings");
      this.csv = element("a", {class: "pkx-button", download: `${explorer.name}.csv`, href: "#"}, "Numbers as CSV");
      this.python = element("pre", {class: "pkx-python", id: `${id}-python`, tabindex: "0", role: "region", hidden: true,
        "aria-label": "Python lines that give the same numbers"});
      this.opener = element("button", {type: "button", "aria-expanded": "false", "aria-controls": `${id}-python`,
        onclick: () => {
          this.python.hidden = !this.python.hidden;
          this.opener.setAttribute("aria-expanded", String(!this.python.hidden));
        }}, "Show the Python lines");
      this.body = element("div", {class: "pkx-body"}, this.controls, this.figures);
      const reset = element("button", {type: "button", onclick: () => this.set(defaults(explorer))}, "Reset");
      const live = element("div", {class: "pkx-live", role: "group", "aria-label": "Explorer"},
        element("div", {class: "pkx-presets", role: "group", "aria-label": "Presets"}, ...this.presets),
        this.problem, this.body, this.summary,
        element("div", {class: "pkx-actions"}, this.link, this.csv, this.opener, reset), this.python);
      place.prepend(live);
    }

    control(c) {
      const id = `pkx-${this.explorer.name}-${c.id}`;
      const changed = (value, moving) => this.set({...this.given, [c.id]: value}, moving);
      const row = element("div", {class: `pkx-control${c.type === "list" || c.type === "choice" ? " pkx-wide" : ""}`},
        element("label", {for: id}, c.label));
      let box, slider;
      if (c.type === "choice") {
        box = element("select", {id, onchange: () => changed(box.value)},
          ...Object.entries(c.options).map(([value, words]) => element("option", {value}, words)));
      } else if (c.type === "list") {
        box = element("textarea", {id, rows: 3, spellcheck: "false", oninput: () => changed(box.value)});
      } else {
        const step = c.type === "integer" ? 1 : "any";
        box = element("input", {id, type: "number", step, oninput: () => changed(box.value)});
        slider = element("input", {type: "range", "aria-label": `${c.label}, slider`,
          ...(c.scale === "log" ? {min: 0, max: STEPS, step: 1} : {min: c.min, max: c.max, step: c.step ?? 1}),
          oninput: () => changed(valueAt(c, Number(slider.value)), true), onchange: () => this.settle()});
      }
      row.append(box, ...(slider ? [slider] : []));
      this.inputs[c.id] = {box, slider, row, c};
      return row;
    }

    // Take settings over: the controls, the address and, with the next frame, the figures. `moving`: a slider is held.
    set(given, moving = false) {
      this.given = given;
      for (const {box, slider, row, c} of Object.values(this.inputs)) {
        const value = given[c.id];
        if (document.activeElement !== box || String(box.value).trim() !== String(value).trim()) box.value = value;
        if (slider) {
          if (Number(valueAt(c, Number(slider.value))) !== Number(value)) slider.value = position(c, Number(value));
          slider.setAttribute("aria-valuetext", String(value));
        }
        row.hidden = Boolean(c.shown && !c.shown(given));
      }
      for (const set of this.controls.querySelectorAll("fieldset"))
        set.hidden = [...set.querySelectorAll(".pkx-control")].every((row) => row.hidden);
      this.explorer.presets.forEach((preset, i) => {
        const wanted = {...defaults(this.explorer), ...preset.state};
        const same = this.explorer.controls.every((c) => (c.shown && !c.shown(wanted)) || String(wanted[c.id]) === String(given[c.id]));
        this.presets[i].setAttribute("aria-pressed", String(same));
      });
      this.moving = moving;
      if (!this.frame) this.frame = requestAnimationFrame(() => this.update());
      clearTimeout(this.rest);
      if (moving) this.rest = setTimeout(() => this.settle(), 250);
    }

    settle() {
      clearTimeout(this.rest);
      this.moving = false;
      if (!this.frame) this.frame = requestAnimationFrame(() => this.update());
    }

    update() {
      this.frame = null;
      const {explorer} = this, start = performance.now();
      const detail = this.moving ? this.detail : 1;
      try {
        this.state = checked(explorer, this.given);
        this.result = explorer.compute(this.state, detail);
        if (!this.moving) whole(this.result);
        this.computed = this.given;
        this.problem.hidden = true;
        this.figures.classList.remove("pkx-stale");
        this.redraw();
        this.tell();
      } catch (error) {
        if (!(error instanceof OutOfRange)) throw error;
        this.result = null;
        this.problem.textContent = `Out of range. ${error.message}.`;
        this.problem.hidden = false;
        this.figures.classList.add("pkx-stale");
        this.summary.textContent = this.python.textContent = "";
        this.csv.removeAttribute("href");
      }
      for (const {box, c} of Object.values(this.inputs))
        box.setAttribute("aria-invalid", String(!this.problem.hidden && this.problem.textContent.includes(c.label)));
      const took = performance.now() - start; // fewer points where a frame takes too long, more where there is time
      if (this.moving) this.detail = Math.max(0.1, Math.min(0.95, detail * Math.max(0.4, Math.min(1.3, FRAME / took))));
      this.took = took;
    }

    // The figures at the width there is; while a slider moves, those in sight.
    redraw() {
      if (!this.result) return;
      const list = this.explorer.figures(this.state, this.result);
      while (this.figures.childElementCount > list.length) {
        this.sight.unobserve(this.figures.lastChild);
        this.unseen.delete(this.figures.lastChild);
        this.figures.lastChild.remove();
      }
      while (this.figures.childElementCount < list.length) {
        this.figures.append(element("div", {class: "pkx-figure"}));
        this.sight.observe(this.figures.lastChild);
      }
      const columns = [...this.figures.children], widths = columns.map((c) => Math.floor(c.clientWidth) || 600);
      list.forEach((make, i) => {
        if (this.moving && this.unseen.has(columns[i])) return;
        const figure = make(), width = Math.max(260, Math.min(760, widths[i]));
        columns[i].replaceChildren(element("p", {class: "pkx-title"}, figure.title), prunekit.plot.legend(figure),
          prunekit.plot.draw(figure, width, this.summary.id));
      });
    }

    // Words, address, numbers and Python lines, once the settings rest.
    tell() {
      clearTimeout(this.telling);
      this.telling = setTimeout(() => {
        if (!this.result || this.moving) return;
        const {explorer, state, result} = this;
        this.summary.textContent = explorer.summary(state, result, prunekit.plot.say);
        this.address = toHash(explorer, this.computed);
        history.replaceState(null, "", this.address);
        this.link.href = this.address;
        this.csv.href = `data:text/csv;charset=utf-8,${encodeURIComponent(csv(explorer.numbers(state, result)))}`;
        this.python.textContent = explorer.python(state, result);
        this.told = this.computed;
      }, 150);
    }
  }

  prunekit.csv = csv;
  prunekit.checked = checked;
  prunekit.open = [];
  if (typeof document !== "undefined") {
    const start = () => document.querySelectorAll(".pk-explorer[data-explorer]").forEach((place) => {
      const explorer = prunekit.explorers[place.dataset.explorer];
      if (explorer && !place.classList.contains("pkx-ready")) prunekit.open.push(new Explorer(explorer, place));
    });
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", start);
    else start();
  }
})();
