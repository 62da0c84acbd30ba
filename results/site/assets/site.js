// What all pages share: data scripts, the theme, tables that sort, tabs, files to download.
"use strict";

const segbench = (() => {
  const root = document.documentElement;
  const data = new Map();
  const waiting = new Map();

  // Data files are scripts that call put: pages opened from the disk may not fetch.
  function put(key, value) {
    data.set(key, value);
    document.dispatchEvent(new CustomEvent("segbench:data", { detail: key }));
  }

  function load(key, folder = "data/") {
    if (data.has(key)) return Promise.resolve(data.get(key));
    if (!waiting.has(key)) {
      waiting.set(key, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = folder + key.split("/").map(encodeURIComponent).join("/") + ".js";
        script.onload = () => {
          script.remove();
          if (data.has(key)) resolve(data.get(key));
          else reject(new Error(`${script.src} holds no ${key}`));
        };
        script.onerror = () => {
          script.remove();
          waiting.delete(key);
          reject(new Error(`${script.src} could not be read`));
        };
        document.head.append(script);
      }));
    }
    return waiting.get(key);
  }

  const unpack = (values, digits) => {
    const scale = 10 ** digits;
    return values.map((x) => (x === null ? NaN : x === "inf" ? Infinity : x / scale));
  };
  const numeric = (x) => (x === null || x === undefined ? NaN : x === "inf" ? Infinity : x);
  const show = (x, digits) =>
    Number.isNaN(x) ? "–" : Number.isFinite(x) ? x.toFixed(digits) : x > 0 ? "∞" : "−∞";
  const signed = (x, digits) => (x > 0 ? "+" : "") + show(x, digits).replace("-", "−");

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "onclick") made.addEventListener("click", value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children);
    return made;
  }

  // A cell that a spreadsheet would take for a formula is given an apostrophe.
  function csv(rows) {
    const cell = (value) => {
      if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
      let text = String(value ?? "");
      if (/^[=+\-@\t\r]/.test(text)) text = `'${text}`;
      return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }

  function download(name, rows) {
    const url = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv" }));
    const link = element("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  // Sorting: by data-sort where a cell has it, numbers as numbers, cells without a value last.
  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    const body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = head.querySelector("button.sort");
      if (!button) return;
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const first = head.dataset.best ?? "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const direction = now === first ? other : first;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", direction);
        sort(body, column, direction === "ascending" ? 1 : -1);
        mark(table);
      });
    });
    mark(table);
  }

  const collator = new Intl.Collator("en", { numeric: true });

  function sort(body, column, sign) {
    const key = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
    const rows = [...body.rows].map((row) => [key(row), row]);
    const numbers = rows.every(([text]) => text === "" || !Number.isNaN(Number(text)));
    const compare = numbers ? (a, b) => Number(a) - Number(b) : collator.compare;
    rows.sort(([a], [b]) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * compare(a, b);
    });
    body.append(...rows.map(([, row]) => row));
  }

  // A line between tiers, only while the table is in the order of tiers.
  function mark(table) {
    const ordered = table.tHead.rows[0].cells[0].getAttribute("aria-sort");
    let last = null;
    for (const row of table.tBodies[0].rows) {
      if (row.classList.contains("guest")) continue; // a reported entry ends no tier
      const edge = ordered && !row.hidden && last !== null && row.dataset.tier !== last;
      row.classList.toggle("edge", Boolean(edge && row.dataset.tier !== undefined));
      if (!row.hidden) last = row.dataset.tier;
    }
  }

  // Tabs as the ARIA practices describe them: arrows move, one tab is in the order of focus.
  function tabs(box) {
    const panels = [...box.querySelectorAll(":scope > .panel")];
    const list = element("div", { role: "tablist", "aria-label": "Subgroups by" });
    const buttons = panels.map((panel, i) => {
      const key = `${box.id || "tab"}-${i}`;
      panel.id = `${key}-panel`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", key);
      panel.querySelector("h3").classList.add("hidden");
      const button = element(
        "button",
        { type: "button", role: "tab", id: key, "aria-controls": panel.id, onclick: () => choose(i) },
        panel.dataset.tab,
      );
      list.append(button);
      return button;
    });
    function choose(chosen, focus = false) {
      buttons.forEach((button, i) => {
        button.setAttribute("aria-selected", String(i === chosen));
        button.tabIndex = i === chosen ? 0 : -1;
        panels[i].hidden = i !== chosen;
      });
      if (focus) buttons[chosen].focus();
    }
    list.addEventListener("keydown", (event) => {
      const here = buttons.indexOf(document.activeElement);
      const n = buttons.length;
      const to = {
        ArrowRight: (here + 1) % n,
        ArrowLeft: (here + n - 1) % n,
        Home: 0,
        End: n - 1,
      }[event.key];
      if (to === undefined || here < 0) return;
      event.preventDefault();
      choose(to, true);
    });
    box.prepend(list);
    choose(0);
  }

  function themes() {
    const button = document.getElementById("theme");
    const system = matchMedia("(prefers-color-scheme: dark)");
    const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
    const label = () => {
      button.textContent = dark() ? "Light colours" : "Dark colours";
    };
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("segbench-theme", root.dataset.theme);
      } catch {
        // storage is forbidden: the choice holds for this page
      }
      label();
    });
    system.addEventListener("change", label);
    label();
    button.hidden = false;
  }

  // What a link asks for, behind its #: a=x&b=y.
  const asked = () => new URLSearchParams(location.hash.slice(1));

  document.addEventListener("DOMContentLoaded", () => {
    themes();
    document.querySelectorAll("table.sortable").forEach(sortable);
    document.querySelectorAll(".tabs").forEach(tabs);
  });

  return {
    put, load, data, unpack, numeric, show, signed, element, download, mark, asked, collator,
  };
})();
