"use strict";
(() => {
  const about = JSON.parse(document.getElementById("about").textContent);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const element = (id) => document.getElementById(id);
  const chosen = new Set();
  const shows = (network) => chosen.size === 0 || chosen.has(network);

  // Packed data.

  async function unpack(name) {
    const packed = element(`packed-${name}`).textContent;
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }
  const unpackText = async (name) => new TextDecoder().decode(await unpack(name));
  const unpackJson = async (name) => JSON.parse(await unpackText(name));

  // Tables: a click on a column's title, or Enter on it, sorts by it.

  function key(cell, text) {
    const shown = cell.textContent.trim();
    if (shown === "–" || shown === "") return null;
    if (text) return shown;
    const number = parseFloat(shown.replace("−", "-").replace(/[, ]/g, ""));
    return Number.isNaN(number) ? shown : number;
  }
  function compare(one, two) {
    if (typeof one === "number" && typeof two === "number") return one - two;
    return String(one).localeCompare(String(two), "en", { numeric: true });
  }
  function sort(table, column, heads) {
    const down = heads[column].getAttribute("aria-sort") === "ascending";
    const text = heads[column].classList.contains("text");
    const rows = all("tbody tr", table).map((row) => [key(row.cells[column], text), row]);
    const known = rows.filter(([value]) => value !== null);
    known.sort(([one], [two]) => (down ? compare(two, one) : compare(one, two)));
    const unknown = rows.filter(([value]) => value === null);
    table.tBodies[0].append(...[...known, ...unknown].map(([, row]) => row));
    heads.forEach((head, number) => {
      if (number !== column) head.removeAttribute("aria-sort");
    });
    heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  }
  function makeSortable(table) {
    const heads = all("tr.sort th", table);
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      button.addEventListener("click", () => sort(table, column, heads));
      head.append(button);
    });
  }

  // Plots. A colour "@…" stands for one of the page's, which differ by day and night.

  const plots = [];
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const networkColour = (network) => colour(`net${Math.max(0, about.networks.indexOf(network)) % 8}`);
  function painted(value, network) {
    if (typeof value === "string" && value.startsWith("@")) {
      return value === "@network" ? networkColour(network) : colour(value.slice(1));
    }
    if (Array.isArray(value)) return value.map((item) => (typeof item === "object" && item ? painted(item, network) : item));
    if (value && typeof value === "object") {
      const copy = {};
      for (const [name, item] of Object.entries(value)) {
        copy[name] = ["x", "y", "customdata", "name", "meta", "hovertemplate"].includes(name) ? item : painted(item, network);
      }
      return copy;
    }
    return value;
  }
  function wrapped(text, width) {
    const lines = [""];
    for (const word of text.split(" ")) {
      const line = lines[lines.length - 1];
      if (line && (line.length + word.length + 1) * 5.6 > width) lines.push(word);
      else lines[lines.length - 1] = line ? `${line} ${word}` : word;
    }
    return lines;
  }
  function laidOut(layout, source, width) {
    const ink = colour("ink");
    const lines = wrapped(source, width - 60);
    const axis = { gridcolor: colour("line"), linecolor: colour("muted"), zerolinecolor: colour("muted"), automargin: true };
    const full = {
      autosize: true,
      height: Math.round(Math.min(480, Math.max(340, width * 0.75))),
      margin: { l: 58, r: 12, t: 30, b: 70 + 14 * lines.length },
      font: { color: ink, size: 12, family: "system-ui, sans-serif" },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      hovermode: "closest",
      hoverlabel: { align: "left", bgcolor: colour("shade"), bordercolor: colour("muted"), font: { color: ink } },
      showlegend: false,
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("muted"), activecolor: colour("ink") },
      ...layout,
      annotations: [
        ...(layout.annotations || []),
        { text: lines.join("<br>"), showarrow: false, align: "left", xref: "paper", yref: "paper", x: 0, y: 0, xanchor: "left",
          yanchor: "top", yshift: -58, font: { size: 11, color: colour("muted") } },
      ],
    };
    for (const name of ["xaxis", "yaxis"]) full[name] = { ...axis, ...(layout[name] || {}) };
    return painted(full, null);
  }
  const config = {
    responsive: true, displaylogo: false, scrollZoom: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    toImageButtonOptions: { format: "png", scale: 2 },
  };
  function drawable(traces) {
    return traces.map((trace) => {
      const network = trace.meta && trace.meta.network;
      return { ...painted(trace, network), visible: network === undefined || shows(network) };
    });
  }
  async function draw(plot) {
    const width = plot.place.clientWidth || 600;
    await Plotly.react(plot.place, drawable(plot.traces), laidOut(plot.layout, plot.source, width), config);
    const [first, ...others] = all("svg.main-svg", plot.place);
    if (!first) return;
    first.setAttribute("role", "img");
    first.setAttribute("aria-label", plot.alt);
    others.forEach((other) => other.setAttribute("aria-hidden", "true"));
    plot.place.dataset.drawn = String(Number(plot.place.dataset.drawn || 0) + 1);
  }
  const redraw = () => Promise.all(plots.map(draw));

  // The trace of a modality that is chosen.

  const phases = { idle_context: "muted", idle_paired: "muted", preheat: "net4", settle: "net7" };
  const viewer = { curves: [], samples: null, plot: null };

  async function openTraces() {
    viewer.curves = (await unpackJson("curves")).curves;
    viewer.samples = new Uint16Array(await unpack("samples"));
    let first = 0;
    for (const curve of viewer.curves) {
      curve.first = first;
      first += curve.samples;
    }
    viewer.total = first;
    viewer.plot = { place: element("trace-plot"), traces: [], layout: {}, source: "", alt: "" };
    for (const name of ["network", "quality", "image"]) {
      element(`trace-${name}`).addEventListener("change", () => showTrace());
    }
    plots.push(viewer.plot);
    fillTraces();
  }
  function fill(name, values) {
    const select = element(`trace-${name}`);
    const before = select.value;
    const options = [...new Set(values.map(String))];
    select.replaceChildren(...options.map((value) => new Option(value, value)));
    if (options.includes(before)) select.value = before;
    return select.value;
  }
  function fillTraces() {
    const seen = viewer.curves.filter((curve) => shows(curve.network));
    const network = fill("network", seen.map((curve) => curve.network));
    const own = seen.filter((curve) => curve.network === network);
    const quality = fill("quality", own.map((curve) => curve.quality));
    const at = own.filter((curve) => String(curve.quality) === quality);
    const image = fill("image", at.map((curve) => curve.image));
    return at.find((curve) => String(curve.image) === image);
  }
  function points(curve) {
    const x = [], y = [];
    let step = 0;
    for (let place = curve.first; place < curve.first + curve.samples; place += 1) {
      step += viewer.samples[place];
      x.push((step / 65535) * curve.length_s);
      y.push((viewer.samples[viewer.total + place] / 65535) * curve.top_w);
    }
    return { x, y };
  }
  function band(start, end, name, opacity) {
    return { type: "rect", xref: "x", yref: "paper", x0: start, x1: end, y0: 0, y1: 1, line: { width: 0 }, layer: "below",
      fillcolor: `@${name}`, opacity };
  }
  function traceLayout(curve) {
    const shapes = curve.phases.filter(([phase]) => phase in phases).map(([phase, start, end]) => band(start, end, phases[phase], 0.16));
    for (const [start, end, , admissible] of curve.windows) {
      if (admissible) shapes.push(band(start, end, "net1", 0.18));
      for (const mark of [start, end]) {
        shapes.push({ type: "line", xref: "x", yref: "paper", x0: mark, x1: mark, y0: 0, y1: 1, line: { color: admissible ? "@net1" : "@muted", width: 1, dash: "dash" } });
      }
    }
    if (curve.idle_w !== null) {
      shapes.push({ type: "line", xref: "paper", yref: "y", x0: 0, x1: 1, y0: curve.idle_w, y1: curve.idle_w, line: { color: "@muted", width: 1.5, dash: "dot" } });
    }
    return {
      xaxis: { title: { text: "Time since the first sample (s)" } },
      yaxis: { title: { text: "Power (W)" }, rangemode: "tozero" },
      shapes,
    };
  }
  function describe(curve) {
    const counted = curve.windows.filter(([, , , admissible]) => admissible).length;
    const rejected = curve.windows.length - counted;
    return `${curve.network}, quality ${curve.quality}, ${curve.image}: ${counted} windows count` +
      `${rejected ? `, ${rejected} rejected` : ""}; M = ${curve.windows.length ? curve.windows[0][2] : "–"} executions a window; ` +
      `${curve.samples} of ${curve.recorded} samples drawn.`;
  }
  async function showTrace() {
    const curve = fillTraces();
    if (!curve) return;
    viewer.plot.traces = [{
      type: "scatter", mode: "lines+markers", ...points(curve), name: "power", line: { color: "@net0", width: 1.2 },
      marker: { color: "@net0", size: 3 }, hovertemplate: "%{x:.3f} s, %{y:.1f} W<extra></extra>",
    }];
    viewer.plot.layout = traceLayout(curve);
    viewer.plot.source = `Power ${curve.source}; ${curve.field}`;
    viewer.plot.alt = `Power over time. ${describe(curve)}`;
    element("trace-said").textContent = describe(curve);
    await draw(viewer.plot);
  }

  // The filter: chips choose networks for all plots and tables; none chosen means all.

  async function applyFilter() {
    for (const chip of all(".chip")) {
      const name = about.networks[Number(chip.dataset.network)];
      const pressed = chip.dataset.network === "all" ? chosen.size === 0 : chosen.has(name);
      chip.setAttribute("aria-pressed", String(pressed));
    }
    for (const row of all("tr[data-network]")) row.hidden = !shows(about.networks[Number(row.dataset.network)]);
    element("filtered").textContent = chosen.size ? `Showing ${[...chosen].join(", ")}` : "Showing all networks";
    await Promise.all(plots.filter((plot) => plot !== viewer.plot).map(draw));
    if (viewer.plot) await showTrace();
  }
  function choose(chip) {
    const name = about.networks[Number(chip.dataset.network)];
    if (chip.dataset.network === "all") chosen.clear();
    else if (!chosen.delete(name)) chosen.add(name);
    if (chosen.size === about.networks.length) chosen.clear();
    return applyFilter();
  }

  // Files that lie inside the page.

  async function save(link) {
    const url = URL.createObjectURL(new Blob([await unpack(link.dataset.payload)]));
    const saved = document.createElement("a");
    saved.href = url;
    saved.download = link.getAttribute("href").split("/").pop();
    saved.click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  async function drawPlots() {
    const library = document.createElement("script");
    library.textContent = await unpackText("plotly");
    document.head.append(library);
    document.documentElement.classList.add("interactive-on");
    const drawn = element("packed-plots") ? await unpackJson("plots") : {};
    for (const place of all("[data-plot]")) plots.push({ place, ...drawn[place.dataset.plot] });
    await redraw();
    if (element("trace-plot")) {
      await openTraces();
      await showTrace();
    }
  }
  async function start() {
    all("main table").forEach(makeSortable);
    if (about.networks.length > 1) all(".filter").forEach((filter) => { filter.hidden = false; });
    all(".chip").forEach((chip) => chip.addEventListener("click", () => choose(chip)));
    if ("DecompressionStream" in window) {
      all("[data-payload]").forEach((link) => link.addEventListener("click", (event) => {
        event.preventDefault();
        save(link);
      }));
    }
    if (element("packed-plotly")) {
      try {
        await drawPlots();
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
      } catch (error) {
        document.documentElement.classList.remove("interactive-on");
        all(".unready").forEach((note) => { note.hidden = false; });
        console.error(error);
      }
    }
    document.documentElement.dataset.ready = "true";
  }
  start();
})();
