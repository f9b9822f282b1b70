// Puts the page together.

/** How many reasons for missing names are shown. */
const NOTES = 5;

function headline() {
  const { trace } = data;
  byId("title").textContent = data.command_line;
  const cpu = trace.cpu_ns ? `, ${time(trace.cpu_ns)} of CPU time` : "";
  const process = trace.process ? ` Process ${trace.process}.` : "";
  byId("facts").textContent =
    `${counted(trace.allocations, "allocation")} and ${counted(trace.frees, "free")} by ${counted(trace.threads, "thread")} in ${time(trace.wall_ns)}${cpu}. ` +
    `${bytes(trace.requested_bytes)} requested in all; at the peak ${bytes(trace.peak_bytes)} live in ${counted(trace.peak_blocks, "block")}; ` +
    `${counted(trace.live_at_end, "block")} never freed.${process}`;
  const warnings = [];
  const { selection: blocks } = data;
  if (blocks) warnings.push(`All of this is about the blocks with ${blocks.options} alone, except the verdict and the maps of fragmentation. The whole recording has ${counted(blocks.of_allocations, "allocation")} and ${bytes(blocks.of_bytes)}.`);
  if (trace.stopped) warnings.push(`Recording stopped because ${trace.stopped}: the rest is missing.`);
  else if (trace.ending === "full" || trace.ending === "stopped") warnings.push("Recording stopped before the program did: the rest is missing.");
  else if (trace.ending === "cut") warnings.push("The program was killed, or ended without its exit handlers: what it did until then is recorded.");
  if (trace.allocator) warnings.push(`The program has an allocator of its own (${trace.allocator}): some of its blocks may be missing.`);
  if (data.names_shortened) warnings.push("Long names are shortened, so that the page stays small.");
  if (SPANS > 1 && SPANS < 20) warnings.push(`A selected range can only consist of steps of ${time(data.span_ns)}, so that the page stays small.`);
  const notes = data.notes.slice(0, NOTES).map((note) => `Some names are missing: ${note}`);
  if (data.notes.length > NOTES) notes.push("Names are missing of more files: millpond show lists them.");
  warnings.push(...notes);
  byId("warnings").replaceChildren(...warnings.map((text) => make("li", {}, text)));
  byId("warnings").hidden = warnings.length === 0;
}

function navigation() {
  const link = (section) => make("li", {}, make("a", { href: `#${section.id}` }, section.querySelector("h2").textContent));
  byId("views").replaceChildren(make("ul", {}, [...document.querySelectorAll("main section")].map(link)));
}

/** Says what is selected, wherever on the page the reader is. */
function chosen() {
  const bar = make("div", { id: "chosen", role: "region", "aria-label": "Selection" });
  byId("main").append(bar);
  onSelection(() => {
    const parts = [];
    if (!isWhole()) parts.push(make("span", {}, `Showing ${during()}`), make("button", { type: "button", onclick: () => choose(0, SPANS) }, "Show the whole recording"));
    if (selection.site !== null) parts.push(make("span", {}, `Flame graph of ${siteName(selection.site)} only`), make("button", { type: "button", onclick: () => select({ site: null }) }, "Show all sites"));
    bar.hidden = parts.length === 0;
    bar.replaceChildren(...parts);
  });
}

headline();
for (const show of [timelineView, verdictView, adviceView, flameView, sitesView, heatView, memoryView, mapsView, sizesView, chainsView, threadsView, downloadsView]) show();
navigation();
chosen();
