// A board's own page: filters, the table as CSV, quality against cost.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { data, numeric, show, mark, download } = segbench;
  const { scatter, place } = segbench.charts;
  const board = data.get("board");
  const entries = new Map(board.entries.map((entry) => [entry.name, entry]));
  const byId = (id) => document.getElementById(id);
  const COSTS = {
    parameters: ["parameters", "parameters"],
    flops: ["FLOPs of one image", "flops"],
    ms: ["ms per image", "ms"],
  };

  function filter() {
    const words = byId("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const tier = Number(byId("tiers").value || Infinity);
    const size = Number(byId("size").value || Infinity);
    let shown = 0;
    for (const table of document.querySelectorAll("table.sortable")) {
      if (table.dataset.published !== undefined) continue;
      const ranked = table.dataset.status !== undefined;
      for (const row of table.tBodies[0].rows) {
        const entry = entries.get(row.dataset.name);
        const text = [entry.name, entry.title, entry.status, ...entry.authors].join(" ").toLowerCase();
        const fits = words.every((word) => text.includes(word))
          && (tier === Infinity || (entry.tier ?? Infinity) <= tier)
          && (size === Infinity || (entry.parameters ?? Infinity) < size);
        row.hidden = !fits;
        if (ranked && fits && !row.classList.contains("guest")) shown += 1;
      }
      if (ranked) mark(table);
    }
    byId("found").textContent = `${shown} of ${board.entries.length} shown`;
  }

  function tableRows(status) {
    const heads = board.columns.flatMap((c) => [c.name, "low", "high"]);
    const rows = [["entry", "method", "authors", "status", "tier", "rank_low", "rank_high",
      "p_first", ...heads, "parameters", "flops", "ms_per_image", "device", "training_seconds"]];
    for (const e of board.entries.filter((entry) => entry.status === status)) {
      rows.push([e.name, e.title, e.authors.join("; "), e.status, e.tier, ...e.ranks, e.first,
        ...e.scores.flat(), e.parameters, e.flops, e.ms, e.device, e.training_seconds]);
    }
    return rows;
  }

  // Entries that none beats at the same or a lower cost, within one status.
  function frontier(points, higher) {
    const front = [];
    for (const p of [...points].sort((a, b) => a.x - b.x || (higher ? b.y - a.y : a.y - b.y))) {
      const best = front.at(-1);
      if (!best || (higher ? p.y > best.y : p.y < best.y)) front.push(p);
    }
    return front;
  }

  function drawCost() {
    const [title, key] = COSTS[byId("cost-by").value];
    const column = board.columns[0];
    const figure = byId("cost-chart");
    const points = board.entries
      .map((entry) => {
        const [y, low, high] = entry.scores[0].map(numeric);
        return {
          x: numeric(entry[key]), y, low, high, name: entry.name, class: entry.status,
          title: `${entry.title}: ${show(y, column.shown)}, ${numeric(entry[key]).toLocaleString("en")} ${title}`,
        };
      })
      .filter((p) => p.x > 0 && Number.isFinite(p.y));
    if (!points.length) {
      figure.replaceChildren(segbench.element("p", { class: "about" }, `No entry gives its ${title}.`));
      return;
    }
    const first = board.entries[0].status;
    const front = frontier(points.filter((p) => p.class === first), column.higher);
    const chart = () => scatter(points, {
      label: `${column.title} against ${title} of ${points.length} entries. Not beaten at their cost: `
        + `${front.map((p) => p.name).join(", ")}.`,
      xTitle: title, yTitle: column.short, log: true, front,
    });
    place(figure, chart, {
      caption: `${column.title}, against ${title}`,
      file: `${board.file}-cost.csv`,
      rows: () => [["entry", "status", key, column.name, "low", "high"],
        ...points.map((p) => [p.name, p.class, p.x, p.y, p.low, p.high])],
    });
  }

  byId("filters").hidden = false;
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("input", filter);
  filter();
  for (const button of document.querySelectorAll("button[data-csv]")) {
    button.hidden = false;
    const status = button.dataset.csv;
    button.addEventListener("click", () => download(`${board.file}-${status}.csv`, tableRows(status)));
  }
  if (!byId("cost-by")) return; // no entry says what it costs
  const given = Object.keys(COSTS).find((by) => board.entries.some((e) => e[COSTS[by][1]] > 0));
  if (given) byId("cost-by").value = given;
  byId("cost-by").addEventListener("change", drawCost);
  drawCost();
});
