// The charts, as SVG in the page's colours. Each comes with its data to download.
"use strict";

segbench.charts = (() => {
  const { element, download } = segbench;
  let WIDTH = 560; // px of the drawing: text keeps its size on a phone
  const MARGIN = { top: 10, right: 16, bottom: 44, left: 52 };

  function svg(tag, attributes = {}, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  // About n round numbers from low to high: steps of 1, 2 or 5 times a power of ten.
  function ticks(low, high, n = 5) {
    const rough = (high - low) / n || 1;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((f) => f * power).find((s) => s >= rough * 0.999);
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
      found.push(Number((i * step).toPrecision(12)));
    }
    return found;
  }

  function linear(low, high, from, to) {
    const at = (x) => from + ((x - low) / (high - low)) * (to - from);
    const decimals = (n) => {
      const found = ticks(low, high, n);
      return Math.max(0, ...found.map((t) => (String(t).split(".")[1] ?? "").length));
    };
    const text = (t, n) => t.toFixed(decimals(n)).replace("-", "−");
    return Object.assign(at, { ticks: (n) => ticks(low, high, n), text });
  }

  const SI = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
  const short = (x) => {
    const [unit, letter] = SI.find(([size]) => x >= size) ?? [1, ""];
    return `${Number((x / unit).toPrecision(3))}${letter}`;
  };

  function logarithmic(low, high, from, to) {
    const at = linear(Math.log10(low), Math.log10(high), from, to);
    const marks = [];
    for (let p = Math.floor(Math.log10(low)); p <= Math.log10(high); p++) {
      for (const f of [1, 2, 5]) marks.push(f * 10 ** p);
    }
    let inside = marks.filter((x) => x >= low * 0.999 && x <= high * 1.001);
    if (inside.length > 7) inside = inside.filter((x) => Number.isInteger(Math.log10(x)));
    return Object.assign((x) => at(Math.log10(x)), { ticks: () => inside, text: short });
  }

  // The range of values with some air, whatever they are.
  function range(values, air = 0.05) {
    let low = Infinity;
    let high = -Infinity;
    for (const x of values) {
      if (!Number.isFinite(x)) continue;
      low = Math.min(low, x);
      high = Math.max(high, x);
    }
    if (low > high) [low, high] = [0, 1];
    const around = (high - low) * air || Math.abs(high) * air || 0.5;
    return [low - around, high + around];
  }

  function frame(height, x, y, { xTitle, yTitle }) {
    const { left, right, top, bottom } = MARGIN;
    const grid = svg("g", { class: "grid" });
    const text = svg("g", { class: "ticks" });
    const n = WIDTH < 420 ? 4 : 6;
    for (const t of x.ticks(n)) {
      grid.append(svg("path", { d: `M${x(t)} ${top}V${height - bottom}` }));
      text.append(
        svg("text", { x: x(t), y: height - bottom + 16, "text-anchor": "middle" }, x.text(t, n)),
      );
    }
    for (const t of y.ticks(5)) {
      grid.append(svg("path", { d: `M${left} ${y(t)}H${WIDTH - right}` }));
      text.append(svg("text", { x: left - 6, y: y(t) + 4, "text-anchor": "end" }, y.text(t, 5)));
    }
    const titles = svg(
      "g",
      { class: "titles" },
      svg("text", { x: WIDTH - right, y: height - 6, "text-anchor": "end" }, xTitle),
      svg("text", { x: left, y: top - 1, class: "y-title" }, yTitle),
    );
    return [grid, text, titles];
  }

  function drawing(height, label, ...children) {
    return svg(
      "svg",
      { class: "chart", viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": label },
      ...children,
    );
  }

  // Put a drawing into a figure, as wide as it has room for, with its caption and its data.
  function place(figure, draw, { caption, file, rows }) {
    WIDTH = Math.round(Math.min(640, Math.max(300, figure.clientWidth)));
    const chart = draw();
    const button = element(
      "button",
      { type: "button", class: "quiet", onclick: () => download(file, rows()) },
      "CSV",
      element("span", { class: "hidden" }, ` of the chart: ${caption}`),
    );
    figure.replaceChildren(chart, element("figcaption", {}, element("span", {}, caption), button));
  }

  const quantile = (sorted, q) => {
    const at = (sorted.length - 1) * q;
    const below = Math.floor(at);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (at - below);
  };

  // How values spread: bars of counts, below them quartiles and median, and every value.
  function histogram(values, { label, xTitle, low, high, zero = false, names = [] }) {
    const height = 260;
    const foot = height - MARGIN.bottom - 34;
    const finite = values.filter(Number.isFinite);
    const [from, to] = low === undefined ? range(finite) : [low, high];
    const x = linear(from, to, MARGIN.left, WIDTH - MARGIN.right);
    const n = 24;
    const counts = new Array(n).fill(0);
    for (const v of finite) {
      counts[Math.min(n - 1, Math.max(0, Math.floor(((v - from) / (to - from)) * n)))] += 1;
    }
    const most = Math.max(1, ...counts);
    const y = linear(0, most, foot, MARGIN.top + 12);
    y.ticks = () => ticks(0, most, 4).filter(Number.isInteger);
    const [grid, text, titles] = frame(height, x, y, { xTitle, yTitle: "images" });
    const step = (WIDTH - MARGIN.left - MARGIN.right) / n;
    const bars = counts.map((count, i) => {
      if (!count) return "";
      const left = MARGIN.left + i * step + 1;
      return `M${left} ${foot}V${y(count)}h${step - 2}V${foot}z`;
    });
    const sorted = Float64Array.from(finite).sort();
    const parts = [grid, svg("path", { class: "bars", d: bars.join("") })];
    if (sorted.length) {
      const [first, median, third] = [0.25, 0.5, 0.75].map((q) => x(quantile(sorted, q)));
      parts.push(
        svg("path", { class: "box", d: `M${first} ${foot + 8}H${third}v8H${first}z` }),
        svg("path", { class: "median", d: `M${median} ${foot + 5}v14` }),
      );
      const marks = finite.length <= 500
        ? finite.map((v) => `M${x(v).toFixed(1)} ${foot + 21}v9`) : [];
      parts.push(svg("path", { class: "marks", d: marks.join("") }));
    }
    if (zero && from < 0 && to > 0) {
      parts.push(svg("path", { class: "zero", d: `M${x(0)} ${MARGIN.top + 8}V${height - MARGIN.bottom}` }));
    }
    names.forEach(([name, at, anchor]) => {
      parts.push(svg("text", { class: "side", x: x(at), y: MARGIN.top + 6, "text-anchor": anchor }, name));
    });
    return drawing(height, label, ...parts, text, titles);
  }

  // Points, each with a link or a title; with whiskers where they have an interval.
  function scatter(points, { label, xTitle, yTitle, log = false, square = false, front = null }) {
    const height = square ? Math.round(WIDTH * 0.95) : 360;
    const ends = points.flatMap((p) => [p.y, p.low ?? p.y, p.high ?? p.y]);
    const xs = points.map((p) => p.x);
    const spanY = square ? range([...xs, ...ends], 0.03) : range(ends);
    const spanX = square ? spanY : log ? [Math.min(...xs) / 1.4, Math.max(...xs) * 1.6] : range(xs);
    const x = (log ? logarithmic : linear)(...spanX, MARGIN.left, WIDTH - MARGIN.right);
    const y = linear(...spanY, height - MARGIN.bottom, MARGIN.top + 12);
    const [grid, text, titles] = frame(height, x, y, { xTitle, yTitle });
    const parts = [grid];
    if (square) {
      parts.push(svg("path", { class: "zero", d: `M${x(spanX[0])} ${y(spanX[0])}L${x(spanX[1])} ${y(spanX[1])}` }));
    }
    if (front) {
      const line = front.map((p) => `${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`);
      if (line.length > 1) parts.push(svg("path", { class: "front", d: `M${line.join("L")}` }));
    }
    const few = points.length <= 30;
    for (const point of points) {
      const mark = svg(
        "g",
        { class: `point ${point.class ?? ""}` },
        svg("title", {}, point.title),
      );
      if (point.low !== undefined && Number.isFinite(point.low)) {
        mark.append(svg("path", { class: "whisker", d: `M${x(point.x)} ${y(point.low)}V${y(point.high)}` }));
      }
      mark.append(svg("circle", { cx: x(point.x), cy: y(point.y), r: square ? 3 : 5 }));
      if (point.name && few) {
        const right = x(point.x) > WIDTH * 0.72;
        mark.append(svg("text", {
          x: x(point.x) + (right ? -9 : 9), y: y(point.y) + 4, "text-anchor": right ? "end" : "start",
        }, point.name));
      }
      parts.push(mark);
    }
    return drawing(height, label, ...parts, text, titles);
  }

  return { histogram, scatter, place, range, svg };
})();
