// Maps of heaps over time: of each allocator in a replay of the program, and of the program itself.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
/** Colours by how much of the held pages is in live blocks: none, and up to these shares. */
const SHARES = [0, 1 / 3, 2 / 3, 0.9, 1];
const SHARE_NAMES = ["no live block", "up to a third", "up to two thirds", "up to nine tenths", "more"];
/** Pixels of a map: those of the largest heap, and the fewest of any. */
const [TALLEST, FLATTEST] = [260, 64];

/** Draws a map; columns outside of the selection are pale. */
function drawMap(canvas, heap, moment, isShown) {
  const rows = heap.columns[0].length / 2;
  const columns = heap.columns.length;
  const scale = Math.max(1, Math.floor(660 / columns));
  [canvas.width, canvas.height] = [columns * scale, Math.max(rows, 1)];
  const style = getComputedStyle(canvas);
  const colours = SHARES.map((_, at) => style.getPropertyValue(`--map-${at}`));
  const context = canvas.getContext("2d");
  heap.columns.forEach((column, at) => {
    for (let row = 0; row < rows; row++) {
      const [used, held] = [DIGITS.indexOf(column[2 * row]), DIGITS.indexOf(column[2 * row + 1])];
      if (held === 0) continue;
      context.fillStyle = colours[SHARES.findIndex((share) => used / held <= share)] ?? colours.at(-1);
      context.globalAlpha = (0.4 + (0.6 * held) / 63) * (isShown(at) ? 1 : 0.25);
      context.fillRect(at * scale, rows - 1 - row, scale, 1);
    }
  });
  context.globalAlpha = 1;
  context.fillStyle = style.color;
  context.fillRect(moment * scale + (scale >> 1), 0, 1, rows);
}

/** The heaps in figures at a moment. */
function momentTable(heaps, at, when) {
  const columns = ["heap", "requested", "in live blocks", "pages with live blocks", "of these filled", "free on pages at most two thirds full", "resident pages without a live block"];
  const rows = heaps.map((heap) => [
    heap.title, bytes(heap.requested[at]), bytes(heap.in_blocks[at]), bytes(heap.in_pages[at]), percent(heap.in_blocks[at], heap.in_pages[at]), bytes(heap.pinned[at]), heap.empty ? bytes(heap.empty[at]) : "unknown",
  ]);
  return scrolling("Heaps at a moment", table(`Heaps ${when}`, columns.map((title, column) => ({ title, left: column === 0 })), rows));
}

/** The sites that keep pages which are otherwise nearly empty. */
function pinTable(heap, at, when) {
  const list = heap.pinned_by[at];
  if (heap.pinned[at] === 0) return empty(`${heap.title}: no page with live blocks is at most two thirds full ${when}.`);
  const rows = [];
  for (let place = 0; place < list.length; place += 2) {
    rows.push([make("span", { class: "name" }, siteName(list[place])), bytes(list[place + 1]), percent(list[place + 1], heap.pinned[at])]);
  }
  if (heap.shared[at] > 0) rows.push(["pages with blocks of several sites", bytes(heap.shared[at]), percent(heap.shared[at], heap.pinned[at])]);
  const caption = `${heap.title}: who keeps pages that are at most two thirds full, ${when}. A site keeps those on which only its blocks are live.`;
  return scrolling("Sites that keep pages", table(caption, [{ title: "site", left: true }, { title: "free bytes" }, { title: "share" }], rows));
}

/** The moment with the most bytes, the last of several. */
const fullest = (bytes) => bytes.lastIndexOf(Math.max(0, ...bytes));

function mapsView() {
  const { heaps, moments_ns, not_replayed } = data.fragmentation;
  const explanation = [
    "Where live blocks lie: time goes to the right, addresses go up; addresses without memory are cut out. A taller map took more memory; only the smallest are drawn larger than that. Pages that are nearly empty, but not quite, cannot be returned to the system: some call site keeps a block there.",
  ];
  if (heaps.some((heap) => heap.allocator)) explanation.push("The program's allocations were replayed with each allocator, in the same order. Pages of blocks that are too large to have been written completely are left out.");
  let [chosen, moment] = [0, heaps[0]?.worst ?? fullest(heaps[0]?.requested ?? [])];
  const pick = choice("Heap", heaps.map((heap, at) => [at, heap.title]), (value) => { chosen = Number(value); update(); });
  const slider = make("input", { type: "range", min: 0, max: Math.max(1, moments_ns.length - 1), value: moment, oninput: () => { moment = Number(slider.value); update(); } });
  const jump = make("button", { type: "button", onclick: () => { moment = heaps[chosen].worst; update(); } }, "Most fragmented moment");
  const controls = heaps.length > 0 && moments_ns.length > 1 ? [make("label", {}, "Moment", slider), pick, jump] : [];
  const body = view("fragmentation", "Fragmentation", explanation, controls);
  if (heaps.length === 0) {
    body.append(empty(not_replayed ?? "The recording has no events."));
    return;
  }
  const tallest = Math.max(...heaps.map((heap) => heap.row_bytes * heap.columns[0].length));
  const canvases = heaps.map((heap, at) => {
    const height = Math.max(FLATTEST, (TALLEST * heap.row_bytes * heap.columns[0].length) / tallest);
    return make("canvas", { class: "map", role: "img", "aria-label": `Map of the heap of ${heap.title}. ${heap.text}`, style: { height: `${height}px` }, onclick: (event) => {
      const { left, width } = event.target.getBoundingClientRect();
      moment = Math.min(moments_ns.length - 1, Math.max(0, Math.floor(((event.clientX - left) / width) * moments_ns.length)));
      chosen = at;
      update();
    } });
  });
  const figures = heaps.map((heap, at) => make("figure", {}, make("h3", {}, heap.allocator ? `replayed with ${heap.title}` : heap.title), canvases[at], make("figcaption", {}, heap.text)));
  const keys = SHARE_NAMES.map((text, at) => make("span", {}, make("span", { class: `key share-${at}` }), text, " "));
  const details = make("div");
  const notes = [not_replayed, heaps[0].allocator ? "There is no map of the program's own heap: only recordings by millpond record --addresses have the addresses of blocks." : null];
  body.append(make("p", { class: "soft" }, "Of the memory there, in live blocks: ", keys), make("div", { class: "maps" }, figures), details, ...notes.filter((note) => note).map((note) => make("p", { class: "soft" }, note)));

  const isShown = (at) => isWhole() || (moments_ns[at] > startNs() && (moments_ns[at - 1] ?? 0) < endNs());
  function update() {
    const when = moment === moments_ns.length - 1 ? "at the end" : `after ${time(moments_ns[moment])}`;
    slider.value = moment;
    slider.setAttribute("aria-valuetext", when);
    pick.querySelector("select").value = chosen;
    jump.hidden = heaps[chosen].worst === null;
    canvases.forEach((canvas, at) => drawMap(canvas, heaps[at], moment, isShown));
    details.replaceChildren(momentTable(heaps, moment, when), pinTable(heaps[chosen], moment, when));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  onSelection(() => {
    const shown = moments_ns.map((_, at) => at).filter(isShown);
    if (!isWhole() && shown.length > 0) moment = shown.at(-1);
    update();
  });
}
