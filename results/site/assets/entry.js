// An entry's page: how its scores spread over the images.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const { data, unpack, element } = segbench;
  const { histogram, place } = segbench.charts;
  const board = data.get("board");
  const samples = data.get("samples");
  const [key] = [...data.keys()].filter((name) => name.startsWith("entries/"));
  const values = data.get(key);
  const name = key.slice("entries/".length);
  const choice = document.getElementById("measure");
  board.images.forEach((m, i) => choice.append(element("option", { value: i }, m.title)));

  function draw() {
    const i = Number(choice.value);
    const measure = board.images[i];
    const own = unpack(values[i], measure.digits);
    const defined = own.filter((x) => !Number.isNaN(x)).length;
    const lowest = Math.min(1, ...own.filter(Number.isFinite));
    const bounds = measure.unit ? {} : { low: Math.min(0.75, Math.floor(lowest * 4) / 4), high: 1 };
    const chart = () => histogram(own, {
      label: `Histogram of ${measure.title} over ${defined} images`,
      xTitle: measure.unit ? `${measure.short}, ${measure.unit}` : measure.short,
      ...bounds,
    });
    place(document.getElementById("distribution-chart"), chart, {
      caption: `${defined} of ${own.length} images have a value. Below: quartiles, median, each image.`,
      file: `${board.file}-${name}-${measure.short}.csv`,
      rows: () => [["image", measure.name], ...samples.ids.map((id, j) => [id, own[j]])],
    });
  }
  choice.addEventListener("change", draw);
  if (board.images.length) draw();
});
