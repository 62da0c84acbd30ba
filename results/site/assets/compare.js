// Two entries on the same images: the paired difference with its interval, where they differ.
"use strict";

segbench.bootstrap = (() => {
  const RESAMPLES = 10_000;
  const FEWEST = 5; // from fewer groups there is no interval

  // sfc32 (C. Doty-Humphrey, PractRand): small, fast, passes its tests; seeded the same each time.
  function generator() {
    let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162, 1];
    const next = () => {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = ((c << 21) | (c >>> 11)) + t | 0;
      return t >>> 0;
    };
    for (let i = 0; i < 12; i++) next();
    return next;
  }

  // The difference of the means of a and b, each over the images where it is defined, with the
  // percentile interval of resampled groups (the same groups for both).
  function difference(a, b, groups, chosen) {
    const place = new Map();
    const units = chosen.map((i) => {
      if (!place.has(groups[i])) place.set(groups[i], place.size);
      return place.get(groups[i]);
    });
    const n = place.size;
    const sums = [new Float64Array(n), new Float64Array(n)];
    const counts = [new Float64Array(n), new Float64Array(n)];
    chosen.forEach((i, j) => {
      [a[i], b[i]].forEach((x, side) => {
        if (Number.isNaN(x)) return;
        sums[side][units[j]] += x;
        counts[side][units[j]] += 1;
      });
    });
    const total = (column) => column.reduce((s, x) => s + x, 0);
    const means = [0, 1].map((side) => total(sums[side]) / total(counts[side]));
    const result = { means, value: means[0] - means[1], n, low: NaN, high: NaN, intervals: null };
    if (n < FEWEST || !means.every(Number.isFinite)) return result;
    const next = generator();
    const drawn = [0, 1, 2].map(() => new Float64Array(RESAMPLES));
    const [sumsA, sumsB] = sums;
    const [countsA, countsB] = counts;
    for (let r = 0; r < RESAMPLES; r++) {
      let sa = 0, sb = 0, ca = 0, cb = 0;
      for (let k = 0; k < n; k++) {
        const u = Math.floor((next() / 4294967296) * n);
        sa += sumsA[u];
        ca += countsA[u];
        sb += sumsB[u];
        cb += countsB[u];
      }
      drawn[0][r] = sa / ca;
      drawn[1][r] = sb / cb;
      drawn[2][r] = sa / ca - sb / cb;
    }
    result.intervals = drawn.map(interval);
    [result.low, result.high] = result.intervals[2];
    return result;
  }

  function interval(replicates) {
    const sorted = replicates.filter((x) => !Number.isNaN(x)).sort();
    const at = (q) => {
      const place = (sorted.length - 1) * q;
      const below = Math.floor(place);
      const above = Math.min(below + 1, sorted.length - 1);
      return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
    };
    return [at(0.025), at(0.975)];
  }

  return { difference };
})();

document.addEventListener("DOMContentLoaded", () => {
  const { data, load, unpack, show, signed, element, download, asked } = segbench;
  const { histogram, scatter, place } = segbench.charts;
  const board = data.get("board");
  const samples = data.get("samples");
  const byId = (id) => document.getElementById(id);
  const FEW = 20;
  const N_SHOWN = 20;

  function options() {
    for (const status of ["verified", "reported"]) {
      const own = board.entries.filter((entry) => entry.status === status);
      if (!own.length) continue;
      for (const id of ["a", "b"]) {
        const group = element("optgroup", { label: status });
        group.append(...own.map((e) => element("option", { value: e.name }, `${e.name}: ${e.title}`)));
        byId(id).append(group);
      }
    }
    board.images.forEach((m, i) => byId("measure").append(element("option", { value: i }, m.title)));
    byId("group").append(element("option", { value: "" }, "all"));
    samples.columns.forEach((column, i) => {
      const group = element("optgroup", { label: column.name });
      column.values.forEach((value, j) => {
        group.append(element("option", { value: `${i}:${j}` }, value));
      });
      byId("group").append(group);
    });
  }

  // The test of the ranking: only of its own measure, of all images and within one standing.
  function adjusted(a, b, measure) {
    for (const pairs of data.get("pairs")) {
      const i = pairs.names.indexOf(a);
      const j = pairs.names.indexOf(b);
      if (i < 0 || j < 0 || i === j || pairs.measure !== measure.name) continue;
      const [low, high] = i < j ? [i, j] : [j, i];
      const n = pairs.names.length;
      return pairs.p[(low * (2 * n - low - 1)) / 2 + high - low - 1];
    }
    return null;
  }

  function chosenImages(group) {
    const all = samples.ids.map((_, i) => i);
    if (!group) return all;
    const [column, value] = group.split(":").map(Number);
    return all.filter((i) => samples.columns[column].labels[i] === value);
  }

  let latest = 0;
  async function update() {
    const [a, b] = [byId("a").value, byId("b").value];
    const measure = board.images[Number(byId("measure").value)];
    const group = byId("group").value;
    const query = new URLSearchParams({ a, b, measure: byId("measure").value, images: group });
    history.replaceState(null, "", `#${query}`);
    const turn = ++latest;
    let both;
    try {
      both = await Promise.all([load(`entries/${a}`), load(`entries/${b}`)]);
    } catch (error) {
      byId("answer").textContent = error.message;
      return;
    }
    if (turn !== latest) return;
    const at = board.images.indexOf(measure);
    const [ofA, ofB] = both.map((values) => unpack(values[at], measure.digits));
    const chosen = chosenImages(group);
    const result = segbench.bootstrap.difference(ofA, ofB, samples.groups, chosen);
    const images = chosen
      .filter((i) => !Number.isNaN(ofA[i]) && !Number.isNaN(ofB[i]))
      .map((i) => ({ id: samples.ids[i], a: ofA[i], b: ofB[i], apart: ofA[i] === ofB[i] ? 0 : ofA[i] - ofB[i] }));
    say(a, b, measure, group, result);
    numbers(a, b, measure, chosen, result, [ofA, ofB]);
    draw(a, b, measure, images);
    list(a, b, measure, images);
    byId("result").hidden = false;
  }

  function say(a, b, measure, group, result) {
    const digits = measure.shown;
    const answer = byId("answer");
    if (a === b) {
      answer.textContent = "The same entry twice. Choose another.";
      return;
    }
    const better = (result.value > 0) === measure.higher ? a : b;
    const apart = result.low > 0 || result.high < 0;
    const parts = [
      Number.isNaN(result.value) || Number.isNaN(result.low) ? "There is no interval here. "
        : apart ? `${better} is better: ` : "Not told apart: ",
      `the difference is ${signed(result.value, digits)}`,
      Number.isNaN(result.low) ? "" : ` [${signed(result.low, digits)}, ${signed(result.high, digits)}]`,
      measure.unit ? ` ${measure.unit}` : "", ".",
    ];
    const p = group ? null : adjusted(a, b, measure);
    if (p !== null) parts.push(` Permutation test by groups, adjusted for all pairs (Holm): p = ${Number(p.toPrecision(3))}.`);
    else if (group) parts.push(" Not adjusted for looking at many subgroups.");
    if (result.n < FEW) parts.push(` Only ${result.n} groups: the interval is too narrow.`);
    answer.textContent = parts.join("");
  }

  function numbers(a, b, measure, chosen, result, values) {
    const digits = measure.shown;
    const row = (name, value, ends, n) => element(
      "tr", {},
      element("th", { scope: "row" }, name),
      element("td", { class: "number" }, element("b", {}, value)),
      element("td", { class: "number interval" }, ends),
      element("td", { class: "number" }, String(n)),
      element("td", { class: "number" }, String(result.n)),
    );
    const ends = (i, text) => {
      const pair = result.intervals?.[i];
      return pair ? `[${text(pair[0], digits)}, ${text(pair[1], digits)}]` : "–";
    };
    const defined = values.map((own) => chosen.filter((i) => !Number.isNaN(own[i])).length);
    byId("numbers").tBodies[0].replaceChildren(
      row(a, show(result.means[0], digits), ends(0, show), defined[0]),
      row(b, show(result.means[1], digits), ends(1, show), defined[1]),
      row("difference, first less second", signed(result.value, digits), ends(2, signed), chosen.length),
    );
  }

  function draw(a, b, measure, images) {
    const finite = images.filter((image) => Number.isFinite(image.apart));
    const apart = finite.map((image) => image.apart);
    const [low, high] = segbench.charts.range([0, ...apart]);
    const rows = () => [["image", a, b, "difference"], ...images.map((i) => [i.id, i.a, i.b, i.apart])];
    const unit = measure.unit ? `, ${measure.unit}` : "";
    const wins = apart.filter((x) => (measure.higher ? x > 0 : x < 0)).length;
    const ties = apart.filter((x) => x === 0).length;
    place(byId("differences-chart"), () => histogram(apart, {
      label: `Histogram of the differences on ${apart.length} images`,
      xTitle: `${measure.short} of ${a} less ${b}${unit}`, low, high, zero: true,
    }), {
      caption: `${a} is better on ${wins}, ${b} on ${apart.length - wins - ties}, equal on ${ties} of ${apart.length} images.`,
      file: `${board.file}-${a}-${b}-differences.csv`, rows,
    });
    place(byId("both-chart"), () => scatter(finite.map((image) => ({
      x: image.a, y: image.b,
      title: `${image.id}: ${show(image.a, measure.shown)} and ${show(image.b, measure.shown)}`,
    })), {
      label: `${measure.short} of ${b} against ${a}, one point an image`,
      xTitle: a, yTitle: b, square: true,
    }), {
      caption: "One point an image; on the line both are equal.",
      file: `${board.file}-${a}-${b}.csv`, rows,
    });
  }

  function list(a, b, measure, images) {
    byId("of-a").textContent = a;
    byId("of-b").textContent = b;
    const ranked = [...images].sort((x, y) =>
      Math.abs(y.apart) - Math.abs(x.apart) || segbench.collator.compare(x.id, y.id));
    const rows = ranked.filter((image) => image.apart !== 0).slice(0, N_SHOWN).map((image) => {
      const query = new URLSearchParams({ entries: [a, b].join(","), sample: image.id });
      const name = board.viewer ? element("a", { href: `viewer.html#${query}` }, image.id) : image.id;
      return element(
        "tr", {},
        element("th", { scope: "row" }, name),
        element("td", { class: "number" }, show(image.a, measure.shown)),
        element("td", { class: "number" }, show(image.b, measure.shown)),
        element("td", { class: "number" }, element("b", {}, signed(image.apart, measure.shown))),
      );
    });
    byId("images").tBodies[0].replaceChildren(...rows);
    byId("all-csv").onclick = () => download(
      `${board.file}-${a}-${b}.csv`,
      [["image", a, b, "difference"], ...ranked.map((i) => [i.id, i.a, i.b, i.apart])],
    );
  }

  function read() {
    const wanted = asked();
    const names = board.entries.map((entry) => entry.name);
    const known = (name) => (names.includes(name) ? name : null);
    const a = known(wanted.get("a")) ?? names[0];
    const b = known(wanted.get("b")) ?? names.find((name) => name !== a) ?? a;
    byId("a").value = a;
    byId("b").value = b;
    for (const [id, key] of [["measure", "measure"], ["group", "images"]]) {
      const value = wanted.get(key);
      if ([...byId(id).options].some((option) => option.value === value)) byId(id).value = value;
    }
  }

  options();
  read();
  byId("choice").hidden = false;
  byId("choice").addEventListener("submit", (event) => event.preventDefault());
  byId("choice").addEventListener("change", update);
  byId("swap").addEventListener("click", () => {
    [byId("a").value, byId("b").value] = [byId("b").value, byId("a").value];
    update();
  });
  addEventListener("hashchange", () => {
    read();
    update();
  });
  update();
});
