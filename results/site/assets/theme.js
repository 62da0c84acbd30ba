// Before the page is drawn: the colours chosen on an earlier page, else those of the system.
"use strict";
try {
  const chosen = localStorage.getItem("segbench-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // storage is forbidden: the system's colours stay
}
