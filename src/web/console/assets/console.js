// The console's keyboard, and calm where things move. Pages work without it.
"use strict";
(() => {
  const pages = {};
  for (const link of document.querySelectorAll("a[data-go]")) pages[link.dataset.go] = link;
  const keys = document.getElementById("keys");
  let going = 0;

  const rows = () => [...document.querySelectorAll("[data-rows] tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);

  function move(step) {
    const links = rows();
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
    links[next].focus();
    links[next].scrollIntoView({ block: "nearest" });
  }

  function search() {
    const field = document.querySelector("[data-search]");
    if (field) field.focus();
    else if (pages.c) location.assign(pages.c.href + "#search");
  }

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (target.matches("input, textarea, select")) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (keys.open) return;
    const goes = performance.now() - going < 1500;
    going = 0;
    if (goes && pages[event.key]) pages[event.key].click();
    else if (event.key === "g") going = performance.now();
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "/") search();
    else if (event.key === "?") keys.showModal();
    else return;
    event.preventDefault();
  });
  document.getElementById("keys-open").addEventListener("click", () => keys.showModal());
  if (location.hash === "#search") search();

  // What cannot be undone is asked for.
  document.addEventListener("submit", (event) => {
    const ask = event.target.dataset.ask;
    if (ask && !confirm(ask)) event.preventDefault();
  });

  // What somebody looks at closely does not move away: paused, focused, or under the pointer.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const part = event.detail.target;
    if (part.matches("[data-calm]") && (part.contains(document.activeElement) || part.matches(":hover"))) event.detail.shouldSwap = false;
  });
  const pause = document.getElementById("pause");
  if (pause) {
    pause.addEventListener("click", () => {
      const on = pause.getAttribute("aria-pressed") !== "true";
      pause.setAttribute("aria-pressed", String(on));
      pause.textContent = on ? "Go on" : "Pause";
    });
    document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
      const part = event.target;
      const busy = part.contains(document.activeElement) || (part.querySelector("a") && part.matches(":hover"));
      if (pause.getAttribute("aria-pressed") === "true" || busy) event.preventDefault();
    });
  }
})();
