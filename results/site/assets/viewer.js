// The images: reference and entries as contours, in an order that finds what is worth a look.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { data, load, unpack, show, element, asked, collator } = segbench;
  const { svg } = segbench.charts;
  const board = data.get("board");
  const samples = data.get("samples");
  const byId = (id) => document.getElementById(id);
  const MOST = 6;
  const stage = byId("stage");
  const titles = new Map([
    ...board.entries.map((entry) => [entry.name, entry.title]),
    ...board.others.map((name) => [name, ""]),
  ]);
  const names = [...titles.keys()];
  const state = { chosen: [], reference: true, sample: samples.ids[0], order: [...samples.ids] };
  const place = new Map(samples.ids.map((id, i) => [id, i]));
  const values = new Map();
  let turn = 0;

  const measure = () => board.images[Number(byId("measure").value)];
  const valuesOf = (name, id) => {
    const own = values.get(name);
    const m = measure();
    return own && m ? unpack([own[board.images.indexOf(m)][place.get(id)]], m.digits)[0] : NaN;
  };

  // Entries keep the colour of their place among the chosen, so that those shown always differ.
  const colour = (name) => state.chosen.indexOf(name) + 1;

  function toggles() {
    const words = byId("find").value.toLowerCase();
    const item = (key, text, checked, kind, change) => {
      const box = element("input", { type: "checkbox", id: `show-${key}` });
      box.checked = checked;
      box.addEventListener("change", () => change(box));
      const line = svg("svg", { class: "key", width: 34, height: 12, viewBox: "0 0 34 12", "aria-hidden": "true" },
        svg("path", { class: "casing", d: "M1 6H33" }), svg("path", { class: `line ${kind}`, d: "M1 6H33" }));
      const label = element("label", { for: box.id }, ...(checked ? [line] : []), text);
      const score = key === "reference" ? NaN : valuesOf(key, state.sample);
      const value = element("span", { class: "value" }, checked && !Number.isNaN(score) ? show(score, measure().shown) : "");
      return element("li", {}, box, label, value);
    };
    const shown = names.filter((name) => state.chosen.includes(name));
    const others = names.filter((name) => !state.chosen.includes(name)
      && `${name} ${titles.get(name)}`.toLowerCase().includes(words));
    const focused = document.activeElement?.id;
    byId("toggles").replaceChildren(
      item("reference", "reference", state.reference, "reference", (box) => {
        state.reference = box.checked;
        draw();
      }),
      ...[...shown, ...others.slice(0, 40)].map((name) =>
        item(name, name, state.chosen.includes(name), `entry-${colour(name)}`, (box) => toggle(name, box.checked))),
      ...(others.length > 40 ? [element("li", { class: "about" }, `${others.length - 40} more: find them by name`)] : []),
    );
    if (focused?.startsWith("show-")) document.getElementById(focused)?.focus();
  }

  async function toggle(name, on) {
    if (on && state.chosen.length >= MOST) {
      byId("about-sample").textContent = `Up to ${MOST} entries are shown at once.`;
      toggles();
      return;
    }
    if (on) state.chosen.push(name);
    else state.chosen = state.chosen.filter((other) => other !== name);
    await sorted();
    await draw();
  }

  // The order of the images: by name, by the mean score of those shown, by how far they are apart.
  async function sorted() {
    await Promise.all(state.chosen.map(async (name) => {
      if (!values.has(name)) values.set(name, await load(`entries/${name}`));
    }));
    const by = byId("order").value;
    const key = (id) => {
      const own = state.chosen.map((name) => valuesOf(name, id)).filter((x) => !Number.isNaN(x));
      if (!own.length) return NaN;
      if (by === "apart") return Math.max(...own) - Math.min(...own);
      return own.reduce((s, x) => s + x, 0) / own.length;
    };
    const sign = by === "apart" || by === "best" ? -1 : 1;
    const better = by === "apart" || measure()?.higher !== false ? 1 : -1;
    const keys = new Map(samples.ids.map((id) => [id, by === "id" ? 0 : key(id)]));
    state.order = [...samples.ids].sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return sign * better * (x - y) || collator.compare(a, b);
    });
    byId("sample").replaceChildren(...state.order.map((id) => {
      const own = by === "id" ? NaN : keys.get(id);
      const text = Number.isNaN(own) ? id : `${id}  (${show(own, measure().shown)})`;
      return element("option", { value: id }, text);
    }));
    byId("sample").value = state.sample;
  }

  function outlines(content, kind, clip) {
    const group = svg("g", { class: `mask ${kind}`, ...(clip ? { "clip-path": "url(#wipe)" } : {}) });
    for (const [name, d] of content.paths) {
      const own = name === "ignored" ? "ignored" : "";
      group.append(svg("path", { class: `casing ${own}`, d }));
      group.append(svg("path", { class: `line ${own}`, d, "fill-opacity": byId("fill").value / 100 }, svg("title", {}, name)));
    }
    return group;
  }

  async function draw() {
    const now = ++turn;
    const id = state.sample;
    byId("sample").value = id;
    const shown = state.chosen.slice();
    let reference;
    let masks;
    try {
      [reference, ...masks] = await Promise.all([
        load(`reference/${id}`), ...shown.map((name) => load(`contours/${name}/${id}`)),
      ]);
    } catch (error) {
      if (now === turn) byId("about-sample").textContent = error.message;
      return;
    }
    if (now !== turn) return;
    const { width, height } = reference;
    const scores = shown.map((name) => `${name} ${show(valuesOf(name, id), measure()?.shown ?? 3)}`);
    const what = [state.reference ? "contour of the reference" : "", ...shown.map((n) => `contour of ${n}`)];
    const label = `Image ${id} with ${what.filter(Boolean).join(", ") || "no contours"}`;
    const picture = svg("image", { href: `pictures/${encodeURIComponent(id)}.jpg`, width, height, preserveAspectRatio: "none" });
    const wipe = svg("rect", { id: "wipe-box", x: 0, y: 0, width: (width * byId("reveal").value) / 100, height });
    const edge = svg("path", { id: "wipe-edge", d: `M0 0V${height}` });
    stage.replaceChildren(svg(
      "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
      svg("defs", {}, svg("clipPath", { id: "wipe" }, wipe)),
      picture,
      ...(state.reference ? [outlines(reference, "reference", true)] : []),
      ...masks.map((mask, i) => outlines(mask, `entry-${colour(shown[i])}`, true)),
      edge,
    ));
    reveal();
    toggles();
    const at = state.order.indexOf(id);
    const labels = samples.columns.map((c) => `${c.name}: ${c.values[c.labels[place.get(id)]]}`);
    byId("about-sample").textContent = [
      `${id}, ${at + 1} of ${state.order.length}`, ...labels, ...scores,
    ].join(" · ");
    byId("previous").disabled = at === 0;
    byId("next").disabled = at === state.order.length - 1;
    const query = new URLSearchParams({ entries: shown.join(","), sample: id });
    history.replaceState(null, "", `#${query}`);
  }

  function reveal() {
    const box = document.getElementById("wipe-box");
    if (!box) return;
    const width = stage.querySelector("image").getAttribute("width");
    const x = (width * byId("reveal").value) / 100;
    box.setAttribute("width", x);
    const edge = document.getElementById("wipe-edge");
    edge.setAttribute("transform", `translate(${x})`);
    edge.setAttribute("visibility", x > 0 && x < width ? "visible" : "hidden");
  }

  function go(to) {
    const last = state.order.length - 1;
    state.sample = state.order[Math.min(last, Math.max(0, to))];
    draw();
  }

  function read() {
    const wanted = asked();
    const entries = (wanted.get("entries") ?? "").split(",").filter((name) => names.includes(name));
    const first = [...board.others, ...names].slice(0, 2);
    state.chosen = [...new Set(entries.length ? entries : first)].slice(0, MOST);
    if (place.has(wanted.get("sample"))) state.sample = wanted.get("sample");
  }

  board.images.forEach((m, i) => byId("measure").append(element("option", { value: i }, m.unit ? `${m.short}, ${m.unit}` : m.short)));
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    const here = state.order.indexOf(state.sample);
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: Infinity }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(to);
  });
  byId("previous").addEventListener("click", () => go(state.order.indexOf(state.sample) - 1));
  byId("next").addEventListener("click", () => go(state.order.indexOf(state.sample) + 1));
  byId("sample").addEventListener("change", () => go(state.order.indexOf(byId("sample").value)));
  byId("reveal").addEventListener("input", reveal);
  byId("fill").addEventListener("input", () => {
    for (const path of stage.querySelectorAll("path.line")) {
      path.setAttribute("fill-opacity", byId("fill").value / 100);
    }
  });
  byId("find").addEventListener("input", toggles);
  for (const id of ["order", "measure"]) {
    byId(id).addEventListener("change", async () => {
      await sorted();
      go(byId("order").value === "id" ? state.order.indexOf(state.sample) : 0);
    });
  }
  document.querySelector(".choice-side form").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", async () => {
    read();
    await sorted();
    draw();
  });
  byId("viewer").hidden = false;
  read();
  sorted().then(draw);
});
