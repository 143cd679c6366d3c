"use strict";
// The rates of the page Flow: two readings of the services' counters make one point of the chart.
(() => {
  const KEEP = 60, EVERY = 2000, SERIES = ["placed", "completed", "cancelled"];
  let before = null, chart = null, acts = [];
  const points = [[], [], [], []];
  const number = name => document.querySelector(`[data-number="${name}"]`);
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function mark(u) {  // a dashed line where something was broken or healed; the list below says what
    const pen = u.ctx, { top, height, left, width } = u.bbox;
    pen.save();
    pen.strokeStyle = pen.fillStyle = style("--warn"); pen.setLineDash([6, 4]); pen.lineWidth = 1.5; pen.font = "16px sans-serif"; pen.textAlign = "center";
    for (const act of acts) {
      const x = u.valToPos(act.at, "x", true);
      if (!(x >= left && x <= left + width)) continue;
      pen.beginPath(); pen.moveTo(x, top + 18); pen.lineTo(x, top + height); pen.stroke(); pen.fillText("⚡", x, top + 14);
    }
    pen.restore();
  }
  function draw(box) {
    const axis = { stroke: style("--soft"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    const line = (label, colour, dash) => ({ label, stroke: style(colour), width: 2, dash, points: { show: false } });
    chart = new uPlot({
      width: box.clientWidth, height: 190, legend: { show: false }, cursor: { show: false },
      series: [{}, line("placed", "--accent"), line("completed", "--good", [8, 4]), line("cancelled", "--bad", [2, 4])],
      hooks: { draw: [mark] }, axes: [axis, { ...axis, size: 40 }], scales: { y: { range: (u, low, high) => [0, Math.max(1, high * 1.15)] } },
    }, points, box);
    addEventListener("resize", () => chart.setSize({ width: box.clientWidth, height: 190 }));
  }
  function rate(now, name, service = "order") {
    const gone = now.services[service][name] - before.services[service][name];
    return gone < 0 ? 0 : gone / (now.at - before.at);
  }
  async function look() {
    if (document.hidden) return;
    let now;
    try { now = await (await fetch("/flow/numbers")).json(); } catch { return; }
    acts = now.acts;
    if (before && now.at > before.at) {
      points[0].push(now.at);
      SERIES.forEach((name, place) => { const value = rate(now, name); points[place + 1].push(value); number(name).textContent = value.toFixed(1) + "/s"; });
      if (points[0].length > KEEP) for (const line of points) line.shift();
      const spent = Object.keys(now.services).map(s => now.services[s]), was = Object.keys(before.services).map(s => before.services[s]);
      const count = spent.reduce((sum, s, i) => sum + s.transactions - was[i].transactions, 0), seconds = spent.reduce((sum, s, i) => sum + s.seconds - was[i].seconds, 0);
      number("transaction").textContent = count > 0 ? (seconds / count * 1000).toFixed(1) + " ms" : "none";
      for (const text of document.querySelectorAll("[data-rate]")) {
        const service = text.dataset.rate, size = now.services[service].transactions - before.services[service].transactions;
        const commands = now.services[service].commands - before.services[service].commands;
        text.textContent = `${rate(now, "commands", service).toFixed(1)}/s` + (size > 0 ? ` in batches of ${(commands / size).toFixed(1)}` : "");
      }
      for (const text of document.querySelectorAll("[data-waiting]")) text.textContent = `${now.services[text.dataset.waiting].waiting} waiting`;
      for (const text of document.querySelectorAll("[data-lag]")) text.textContent = `${(now.services[text.dataset.lag].lag * 1000).toFixed(0)} ms old`;
      chart.setData(points);
    }
    before = now;
  }
  document.addEventListener("DOMContentLoaded", () => {
    const box = document.querySelector("#chart");
    if (!box) return;
    draw(box); look(); setInterval(look, EVERY);
  });
})();
