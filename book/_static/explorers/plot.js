// Figures of the explorers: SVG by hand, from plain descriptions. A prediction is a line, what is drawn at random a marker.
"use strict";

(() => {
  const NS = "http://www.w3.org/2000/svg";
  const DASHES = ["", "6 3", "8 3 2 3", "2 3", "10 3 2 3 2 3", "4 2"];
  const MARKERS = {
    dot: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
    square: "M-3.5-3.5h7v7h-7z",
    triangle: "M0-4.5L4.2 3.5h-8.4z",
    diamond: "M0-5L5 0L0 5L-5 0z",
    star: "M0-8L2-2.6L7.6-2.5L3.2 1L4.7 6.5L0 3.3L-4.7 6.5L-3.2 1L-7.6-2.5L-2-2.6z",
    cross: "M-5-5L5 5M-5 5L5-5",
  };
  let made = 0;

  function svg(kind, attributes, ...children) {
    const node = document.createElementNS(NS, kind);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  const SUPERSCRIPT = {"-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹"};
  const power = (e) => `10${String(e).split("").map((c) => SUPERSCRIPT[c]).join("")}`;

  // A number as a reader wants it: four digits, a power of ten where it is far from 1.
  function say(x, digits = 4) {
    if (x === 0) return "0";
    if (!Number.isFinite(x)) return x > 0 ? "infinite" : "minus infinite";
    const size = Math.abs(x);
    if (size >= 1e-3 && size < 1e5) return String(Number(x.toPrecision(digits)));
    const [mantissa, exponent] = x.toExponential(digits - 2).split("e");
    return `${Number(mantissa)}·${power(Number(exponent))}`;
  }

  function linearTicks(low, high, many) {
    const ticks = [];
    for (let rough = (high - low) / many; ticks.length < 2; rough /= 2) {
      const unit = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].map((m) => m * unit).find((s) => s >= rough * 0.999);
      ticks.length = 0;
      for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
        ticks.push(Number((i * step).toPrecision(12)));
    }
    return ticks.map((value) => [value, say(value)]);
  }

  function logTicks(low, high, many) {
    const from = Math.floor(Math.log10(low) + 1e-9), to = Math.ceil(Math.log10(high) - 1e-9), ticks = [];
    const inside = to - from <= 1 ? [1, 2, 3, 5, 7] : to - from <= 2 ? [1, 2, 5] : [1];
    for (let every = Math.max(1, Math.ceil((to - from) / many)); every >= 1 && ticks.length < 2; every--) {
      ticks.length = 0;
      for (let e = from; e <= to; e += every)
        for (const m of every > 1 ? [1] : inside) {
          const value = m * 10 ** e;
          if (value >= low * 0.999 && value <= high * 1.001)
            ticks.push([value, m === 1 && (e < -3 || e > 4) ? power(e) : say(Number(value.toPrecision(3)))]);
        }
    }
    return ticks.length > 1 ? ticks : [[low, say(low, 3)], [high, say(high, 3)]];
  }

  // An axis: where its numbers lie between 0 and 1, and its ticks.
  function scaled(axis, values, many) {
    const log = axis.scale === "log", kept = values.filter((v) => v !== null && Number.isFinite(v) && (!log || v > 0));
    let [low, high] = axis.range || [];
    if (low === undefined) low = Math.min(...kept);
    if (high === undefined) high = Math.max(...kept);
    if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = log ? [0.1, 1] : [0, 1];
    if (!axis.range && log) [low, high] = [low / 1.1, high * 1.1];
    else if (!axis.range) [low, high] = [low - 0.04 * (high - low), high + 0.04 * (high - low)];
    if (low === high) [low, high] = log ? [low / 2, high * 2] : [low - 0.5, high + 0.5];
    const f = log ? Math.log : (v) => v, a = f(low), b = f(high);
    const ticks = (log ? logTicks : linearTicks)(low, high, many).filter(([v]) => !axis.whole || Number.isInteger(v));
    return {ticks, at: (v) => (log && v <= 0 ? -9 : (f(v) - a) / (b - a))};
  }

  // The path of a line: nulls interrupt it, and what lies far outside stays near the frame.
  function path(xs, ys, X, Y) {
    let d = "", pen = false;
    for (let i = 0; i < xs.length; i++) {
      if (ys[i] === null || xs[i] === null) { pen = false; continue; }
      const y = Math.max(-3000, Math.min(3000, Y(ys[i]))), x = Math.max(-3000, Math.min(3000, X(xs[i])));
      d += `${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
      pen = true;
    }
    return d;
  }

  function swatch(each) {
    const icon = svg("svg", {width: 30, height: 14, viewBox: "-15 -7 30 14", class: `pkx-s${each.series % 6}`});
    if (each.rule) icon.append(svg("line", {class: "pkx-rule", x1: -15, x2: 15}));
    else if (each.area) icon.append(svg("rect", {class: "pkx-area", x: -13, y: -5, width: 26, height: 10}));
    else if (each.marker) icon.append(svg("path", {class: "pkx-marker", d: MARKERS[each.marker]}));
    else icon.append(svg("line", {class: "pkx-line", x1: -15, x2: 15, "stroke-dasharray": DASHES[(each.dash || 0) % 6]}));
    return icon;
  }

  function legend(figure) {
    const list = document.createElement("ul");
    list.className = "pkx-legend";
    const areas = (figure.areas || []).map((each) => ({...each, area: true}));
    const rules = (figure.rules || []).filter((r) => r.legend).map((r) => ({label: r.legend, rule: true, series: 0}));
    for (const each of [...areas, ...(figure.lines || []), ...(figure.points || []), ...rules].filter((e) => e.label)) {
      const item = document.createElement("li");
      item.append(swatch(each), each.label);
      list.append(item);
    }
    return list;
  }

  // Draw a figure into an element of the given width; `described` is the id of the text that says what it shows.
  function draw(figure, width, described) {
    const height = Math.round(Math.max(230, Math.min(340, width * 0.62))), name = `pkx-clip-${made++}`;
    const all = [...(figure.lines || []), ...(figure.points || []), ...(figure.areas || [])];
    const left = 58, right = 24, top = 12, bottom = 44, w = width - left - right, h = height - top - bottom;
    const xs = scaled(figure.x, all.flatMap((e) => [...e.x]), Math.max(3, Math.floor(w / 75)));
    const ys = scaled(figure.y, all.flatMap((e) => [...e.y]), Math.max(3, Math.floor(h / 45)));
    const X = (v) => left + w * xs.at(v), Y = (v) => top + h * (1 - ys.at(v));
    const root = svg("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": figure.title,
      "aria-describedby": described});
    root.append(svg("clipPath", {id: name}, svg("rect", {x: left, y: top, width: w, height: h})));
    const text = (words, attributes) => root.append(svg("text", attributes, words));
    for (const [value, words] of xs.ticks) {
      root.append(svg("line", {class: "pkx-tick", x1: X(value), x2: X(value), y1: top, y2: top + h}));
      text(words, {x: X(value), y: top + h + 17, "text-anchor": "middle"});
    }
    for (const [value, words] of ys.ticks) {
      root.append(svg("line", {class: "pkx-tick", x1: left, x2: left + w, y1: Y(value), y2: Y(value)}));
      text(words, {x: left - 6, y: Y(value) + 4, "text-anchor": "end"});
    }
    root.append(svg("path", {class: "pkx-axis", d: `M${left} ${top}V${top + h}H${left + w}`}));
    text(figure.x.label, {x: left + w / 2, y: height - 6, "text-anchor": "middle"});
    text(figure.y.label, {transform: `translate(13 ${top + h / 2}) rotate(-90)`, "text-anchor": "middle"});
    const inside = svg("g", {"clip-path": `url(#${name})`});
    for (const each of figure.areas || []) {
      const base = each.base || each.x.map(() => 0), d = path(each.x, each.y, X, Y);
      const back = path([...each.x].reverse(), [...base].reverse(), X, Y).replace(/^M/, "L");
      inside.append(svg("path", {class: `pkx-area pkx-s${each.series % 6}`, d: `${d}${back}Z`}));
    }
    for (const rule of figure.rules || []) {
      const upright = rule.x !== undefined, at = upright ? X(rule.x) : Y(rule.y);
      inside.append(svg("line", {class: "pkx-rule",
        ...(upright ? {x1: at, x2: at, y1: top, y2: top + h} : {x1: left, x2: left + w, y1: at, y2: at})}));
      const end = !upright || at > left + 0.6 * w;
      if (rule.label) inside.append(svg("text", {class: "pkx-note", x: upright ? at + (end ? -4 : 4) : left + w - 12,
        y: upright ? top + 12 + 15 * (rule.row || 0) : at + (at > top + h - 16 ? -5 : 14),
        "text-anchor": end ? "end" : "start"}, rule.label));
    }
    for (const each of figure.lines || [])
      inside.append(svg("path", {class: `pkx-line pkx-s${each.series % 6}${each.thin ? " pkx-thin" : ""}`,
        "stroke-dasharray": DASHES[(each.dash || 0) % 6], d: path(each.x, each.y, X, Y)}));
    root.append(inside);
    for (const each of figure.points || []) {
      const d = each.x.map((x, i) => [X(x), each.y[i] === null ? NaN : Y(each.y[i])])
        .filter(([x, y]) => x > left - 6 && x < left + w + 6 && y > top - 6 && y < top + h + 6);
      for (const [x, y] of d) root.append(svg("path", {class: `pkx-marker pkx-s${each.series % 6}`, d: MARKERS[each.marker || "dot"],
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`}));
    }
    return root;
  }

  prunekit.plot = {draw, legend, say};
})();
