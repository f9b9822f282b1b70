// Live bytes over time, resident memory, rate of events, marks; and the selection of a range.

const MARGIN = { left: 64, right: 8, top: 18, bottom: 20 };
const [LIVE_HEIGHT, RATE_HEIGHT] = [220, 50];

/** Round values up to `most` for the lines of a grid. */
function ticks(most, number, base) {
  const raw = Math.max(most / number, 1);
  const power = base ** Math.floor(Math.log(raw) / Math.log(base));
  const step = [1, 2, 5].map((factor) => factor * power).find((size) => size >= raw) ?? base * power;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step);
}

const byteTicks = (most) => {
  const step = 2 ** Math.ceil(Math.log2(Math.max(most / 4, 1)));
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, at) => at * step);
};

function chart(width, samples) {
  const { timeline, marks } = data;
  const inner = width - MARGIN.left - MARGIN.right;
  const x = (ns) => MARGIN.left + (inner * Math.min(ns, wallNs)) / wallNs;
  const most = Math.max(1, ...timeline.most, ...samples.map((sample) => sample[1]));
  const bottom = MARGIN.top + LIVE_HEIGHT;
  const y = (value) => bottom - (LIVE_HEIGHT * value) / most;
  const height = bottom + RATE_HEIGHT + 12 + MARGIN.bottom;
  const parts = [];
  for (const value of byteTicks(most)) {
    parts.push(draw("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }));
    parts.push(draw("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, bytes(value)));
  }
  for (const ns of ticks(wallNs, Math.max(2, Math.floor(inner / 110)), 10)) {
    parts.push(draw("text", { x: x(ns), y: height - 4, "text-anchor": ns === 0 ? "start" : x(ns) > width - 50 ? "end" : "middle" }, time(ns)));
  }
  let path = `M${x(0)},${y(0)}`;
  timeline.most.forEach((value, bin) => {
    path += `L${x(bin * timeline.bin_ns).toFixed(1)},${y(value).toFixed(1)}`;
  });
  // After the last event nothing changes until the end of the recording.
  const [end, last] = [x(timeline.most.length * timeline.bin_ns), y(timeline.last.at(-1)).toFixed(1)];
  path += `L${end.toFixed(1)},${last}H${x(wallNs).toFixed(1)}V${bottom}Z`;
  parts.push(draw("path", { class: "area", d: path }));
  // A line needs two samples.
  if (samples.length === 1) parts.push(draw("circle", { class: "rss", cx: x(samples[0][0]), cy: y(samples[0][1]), r: 3 }));
  if (samples.length > 0) {
    parts.push(draw("polyline", { class: "rss", points: samples.map(([ns, resident]) => `${x(ns).toFixed(1)},${y(resident).toFixed(1)}`).join(" ") }));
  }
  const rates = timeline.allocations.map((allocations, bin) => allocations + timeline.frees[bin]);
  const fastest = Math.max(1, ...rates);
  const floor = bottom + 12 + RATE_HEIGHT;
  const bars = rates.map((rate, bin) => {
    const tall = (RATE_HEIGHT * rate) / fastest;
    return rate > 0 ? `M${x(bin * timeline.bin_ns).toFixed(1)},${floor}v${(-tall).toFixed(1)}h${Math.max(inner / rates.length, 0.7).toFixed(1)}v${tall.toFixed(1)}z` : "";
  });
  parts.push(draw("path", { class: "rate", d: bars.join("") }));
  let free = -Infinity;
  marks.forEach(([ns, text]) => {
    parts.push(draw("line", { class: "mark", x1: x(ns), x2: x(ns), y1: MARGIN.top - 4, y2: floor }, draw("title", {}, text)));
    // A name that would lie over the one before is only in the title and in the table of phases.
    const room = (text.length + 2) * 7;
    if (x(ns) > free && x(ns) + room < width) {
      parts.push(draw("text", { x: x(ns) + 3, y: MARGIN.top - 6 }, text));
      free = x(ns) + room;
    }
  });
  const label = `Live bytes over ${time(wallNs)}, at most ${bytes(data.trace.peak_bytes)}`;
  const svg = draw("svg", { class: "chart", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, parts);
  const shades = [0, 1].map(() => svg.appendChild(draw("rect", { class: "outside", y: 0, height: floor })));
  const shade = () => {
    const [from, to] = [x(startNs()), x(endNs())];
    fill(shades[0], { x: MARGIN.left, width: Math.max(0, from - MARGIN.left) }, []);
    fill(shades[1], { x: to, width: isWhole() ? 0 : Math.max(0, width - MARGIN.right - to) }, []);
  };
  dragging(svg, (position) => Math.floor(((position - MARGIN.left) / inner) * (wallNs / data.span_ns)));
  return { svg, shade };
}

/** Selects the spans between two positions of the pointer. */
function dragging(svg, spanAt) {
  let begin = null;
  const at = (event) => Math.min(SPANS - 1, Math.max(0, spanAt(event.clientX - svg.getBoundingClientRect().left)));
  svg.addEventListener("pointerdown", (event) => {
    begin = at(event);
    svg.setPointerCapture(event.pointerId);
  });
  const end = (event) => {
    if (begin === null) return;
    const [from, to] = [Math.min(begin, at(event)), Math.max(begin, at(event)) + 1];
    begin = null;
    choose(from, to);
  };
  svg.addEventListener("pointerup", end);
  svg.addEventListener("pointercancel", () => (begin = null));
}

function choose(from, to) {
  select({ from, to });
  say(`All views now show ${during()}.`);
}

/** The spans that contain a time from `fromNs` to `toNs`. */
function chooseTime(fromNs, toNs) {
  const from = Math.min(SPANS - 1, Math.floor(fromNs / data.span_ns));
  choose(from, Math.max(from + 1, Math.min(SPANS, Math.ceil(toNs / data.span_ns))));
}

function sliders() {
  const slider = (text, attributes, change) => {
    const input = make("input", { type: "range", ...attributes, oninput: () => change(Number(input.value)) });
    return [make("label", {}, text, input), input];
  };
  const [fromLabel, from] = slider("from", { min: 0, max: SPANS - 1 }, (value) => choose(value, Math.max(value + 1, selection.to)));
  const [toLabel, to] = slider("to", { min: 1, max: SPANS }, (value) => choose(Math.min(selection.from, value - 1), value));
  const update = () => {
    [from.value, to.value] = [selection.from, selection.to];
    from.setAttribute("aria-valuetext", time(startNs()));
    to.setAttribute("aria-valuetext", time(endNs()));
  };
  return [update, [fromLabel, toLabel, make("button", { type: "button", onclick: () => choose(0, SPANS) }, "Whole recording")]];
}

function phases() {
  const named = data.by_phase.some((phase) => phase.name);
  const rows = data.by_phase.map((phase) => [
    make("button", { type: "button", onclick: () => chooseTime(phase.from_ns, phase.to_ns) }, phase.name ?? `${time(phase.from_ns)} to ${time(phase.to_ns)}`),
    time(phase.from_ns), time(phase.to_ns), count(phase.allocations), bytes(phase.bytes), count(phase.frees), bytes(phase.peak_bytes), bytes(phase.live_bytes),
  ]);
  const more = data.all.phases - data.by_phase.length;
  const caption = (named ? "Phases, from mark to mark" : "Tenths of the recording, because it has no marks") +
    ". Press one to select its time." + (more > 0 ? ` ${counted(more, "further phase")} not shown.` : "");
  const columns = ["phase", "from", "to", "allocations", "bytes requested", "frees", "most live", "live at its end"];
  return make("details", {}, make("summary", {}, named ? "Phases" : "Tenths of the recording"),
    scrolling("Table of phases", table(caption, columns.map((title, at) => ({ title, left: at === 0 })), rows)));
}

function timelineView() {
  const step = SPANS > 1 ? `A range consists of whole steps of ${time(data.span_ns)}, for which everything was counted exactly.` : "The recording is too short to select a part of it.";
  const body = view("time", "Live bytes over time", [
    `Bytes that the program had requested and not yet freed; below, how many allocations and frees it made. Drag over the chart, use the sliders or choose a phase to select a range of time: all views then show that range, except the advice and what is marked as being about the whole recording. ${step}`,
  ]);
  if (data.trace.events === 0) {
    body.append(empty("The recording has no events: the program allocated nothing, or its allocator could not be recorded."));
    return;
  }
  const [updateSliders, controls] = sliders();
  const place = make("div");
  const resident = make("input", { type: "checkbox", onchange: () => redraw(true) });
  // Much more resident memory than live bytes would leave no height for these.
  resident.checked = Math.max(...data.samples.map((sample) => sample[1])) < 4 * data.trace.peak_bytes;
  const key = make("p", { class: "soft" },
    make("span", { class: "key live" }), "live bytes ", make("span", { class: "key events" }), "allocations and frees ",
    data.samples.length > 0 ? make("label", {}, resident, make("span", { class: "key resident" }), "resident memory of the process") : "Resident memory was not sampled in this recording.");
  body.append(place, key, make("div", { class: "controls" }, SPANS > 1 ? controls : []), phases());
  let drawn;
  let width = 0;
  const redraw = (always) => {
    if ((place.clientWidth === width && !always) || place.clientWidth === 0) return;
    width = place.clientWidth;
    drawn = chart(width, resident.checked ? data.samples : []);
    drawn.shade();
    place.replaceChildren(drawn.svg);
  };
  redraw(true);
  new ResizeObserver(() => redraw(false)).observe(place);
  onSelection(() => {
    updateSliders();
    drawn?.shade();
  });
}
