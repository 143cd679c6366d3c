"use strict";
// What the console's pages do in the browser besides htmx: ticking waits, the message panel, and the replay of a saga.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const one = (selector, root = document) => root.querySelector(selector);
  let clock = false, chosen = "", timer = 0, rows = 0;

  function words(ms) {
    const s = Math.max(0, ms) / 1000;
    return s < 10 ? s.toFixed(1) + " s" : s < 60 ? Math.round(s) + " s" : Math.floor(s / 60) + " min " + Math.round(s % 60) + " s";
  }
  function tick() {
    for (const time of all("time[data-since]")) time.textContent = words(Date.now() - Date.parse(time.dataset.since));
  }
  function choose(name, root = document) {
    const details = one(`details[data-step="${CSS.escape(name)}"]`), panel = one("#message");
    if (!details || !panel) return;
    chosen = name;
    for (const link of all("svg.saga a.chosen")) link.classList.remove("chosen");
    for (const link of all(`svg.saga a[data-message="${CSS.escape(name)}"]`)) link.classList.add("chosen");
    const title = document.createElement("h2");
    title.textContent = name;
    const said = one(".hint", details).cloneNode(true), facts = one(".facts", details).cloneNode(true);
    panel.replaceChildren(title, said, facts);
  }
  function show(count) {
    const slider = one("[data-slider]");
    if (!slider) return;
    slider.value = count;
    one("[data-position]").textContent = `${count} of ${slider.max}`;
    for (const row of all("svg.saga .row, svg.saga .act")) row.classList.toggle("hidden-row", Number(row.dataset.row) >= count);
    for (const owed of all("svg.saga .owed, svg.saga .ahead")) owed.classList.toggle("hidden-row", count < Number(slider.max));
  }
  function play() {
    const slider = one("[data-slider]");
    clearInterval(timer);
    let count = Number(slider.value) >= Number(slider.max) ? 0 : Number(slider.value);
    timer = setInterval(() => {
      if (!slider.isConnected || count >= Number(slider.max)) { clearInterval(timer); return; }
      show(++count);
    }, Math.min(350, 6000 / Number(slider.max)));
  }
  function refresh() {
    tick();
    const drawn = all("svg.saga .row");
    if (rows && drawn.length > rows) for (const row of drawn.slice(rows)) row.classList.add("fresh");
    rows = drawn.length;
    for (const svg of all("svg.saga")) svg.classList.toggle("clock", clock);
    for (const button of all("[data-times]")) button.setAttribute("aria-pressed", String(clock));
    if (chosen) choose(chosen);
  }
  document.addEventListener("click", event => {
    const link = event.target.closest("a[data-message]");
    if (link) { event.preventDefault(); choose(link.dataset.message); return; }
    if (event.target.closest("[data-play]")) play();
    if (event.target.closest("[data-times]")) { clock = !clock; refresh(); }
  });
  document.addEventListener("input", event => {
    if (event.target.matches("[data-slider]")) { clearInterval(timer); show(Number(event.target.value)); }
  });
  document.addEventListener("htmx:after:swap", refresh);
  document.addEventListener("htmx:sse:after:message", refresh);
  document.addEventListener("DOMContentLoaded", refresh);
  setInterval(tick, 100);
})();
