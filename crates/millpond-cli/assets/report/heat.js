// Sizes and lifetimes of freed blocks, in powers of two, and the sites behind each cell.

/** Lifetimes below 2⁷ ns are one column, because the clock of a recording is not finer. */
const SHORTEST = 7;

function heatView() {
  let [byBytes, chosen] = [false, null];
  const controls = [choice("Show", [["blocks", "number of blocks"], ["bytes", "their bytes"]], (value) => { byBytes = value === "bytes"; update(); })];
  const body = view("lifetimes", "Sizes and lifetimes of blocks", [
    "Each row is a class of sizes, up to the next larger one; each column a class of lifetimes: how long blocks lived that were freed. The darker a cell, the more; the scale is logarithmic. The last column has the blocks that are live at the end of the selected range. Press a cell for its call sites.",
  ], controls);
  const place = make("div");
  const detail = make("div");
  body.append(place, detail);

  const cellText = (size, column, blocks, sum) =>
    `${counted(blocks, "block")} of ${powers(size, bytes)}${column === "live" ? " live at the end" : `, freed after ${column === SHORTEST ? `less than ${time(2 ** (SHORTEST + 1))}` : powers(column, time)}`}: ${bytes(sum)}`;

  function cells() {
    const map = new Map();
    for (const [size, lifetime, list, sites] of data.heat) {
      const [blocks, sum] = rangeSum(list, 2);
      if (blocks === 0) continue;
      const column = Math.max(lifetime, SHORTEST);
      const key = `${size}/${column}`;
      const cell = map.get(key) ?? { size, column, blocks: 0, sum: 0, sites: [] };
      cell.blocks += blocks;
      cell.sum += sum;
      for (let at = 0; at < sites.length; at += 3) cell.sites.push(sites.slice(at, at + 3));
      map.set(key, cell);
    }
    for (const [size, list] of data.live) {
      const [blocks, sum] = valuesAt(list, 2, selection.to - 1);
      if (blocks > 0) map.set(`${size}/live`, { size, column: "live", blocks, sum, sites: null });
    }
    return map;
  }

  function details(cell) {
    if (!cell) return [];
    const heading = make("h3", {}, cellText(cell.size, cell.column, cell.blocks, cell.sum));
    if (!cell.sites) return [heading, make("p", {}, "Which sites these blocks belong to is in the table of call sites, in the column “live at the end”.")];
    const sums = new Map();
    for (const [site, blocks, sum] of cell.sites) {
      const known = sums.get(site) ?? [0, 0];
      sums.set(site, [known[0] + blocks, known[1] + sum]);
    }
    const rows = [...sums].sort((a, b) => b[1][0] - a[1][0]).map(([site, [blocks, sum]]) => [make("span", { class: "name" }, siteName(site)), count(blocks), bytes(sum)]);
    return [heading, scrolling("Sites of the cell", table("The sites with the most blocks in this cell, in the whole recording", [{ title: "site", left: true }, { title: "blocks" }, { title: "bytes" }], rows))];
  }

  function update() {
    const map = cells();
    if (map.size === 0) {
      place.replaceChildren(empty(`No block was freed or live in ${during()}.`));
      detail.replaceChildren();
      return;
    }
    const all = [...map.values()];
    const value = (cell) => (byBytes ? cell.sum : cell.blocks);
    const most = Math.max(1, ...all.map(value));
    const sizes = all.map((cell) => cell.size);
    const columns = all.filter((cell) => cell.column !== "live").map((cell) => cell.column);
    const range = (numbers) => (numbers.length === 0 ? [] : Array.from({ length: Math.max(...numbers) - Math.min(...numbers) + 1 }, (_, at) => Math.min(...numbers) + at));
    const shownColumns = [...range(columns), "live"];
    const head = shownColumns.map((column) => make("th", { scope: "col" }, make("span", {}, column === "live" ? "live at the end" : column === SHORTEST ? `< ${time(2 ** (SHORTEST + 1))}` : `≥ ${time(2 ** column)}`)));
    const rows = range(sizes).toReversed().map((size) => make("tr", {}, make("th", { scope: "row" }, `${size === 0 ? "" : "≥ "}${bytes(size === 0 ? 0 : 2 ** size)}`), shownColumns.map((column) => {
      const key = `${size}/${column}`;
      const cell = map.get(key);
      if (!cell) return make("td");
      const strength = 0.12 + (0.88 * Math.log1p(value(cell))) / Math.log1p(most);
      const label = cellText(size, column, cell.blocks, cell.sum);
      return make("td", {}, make("button", { type: "button", "aria-label": label, title: label, "aria-pressed": key === chosen, style: { background: `rgba(var(--heat), ${strength.toFixed(2)})` }, "data-key": key, onclick: () => {
        chosen = key;
        update();
        place.querySelector(`[data-key="${key}"]`)?.focus();
      } }));
    })));
    const heading = make("tr", {}, make("th", { scope: "col" }, "size"), head);
    place.replaceChildren(scrolling("Map of sizes and lifetimes", make("table", { class: "heat" }, make("caption", {}, `Blocks freed in ${during()}, by size and lifetime`), make("thead", {}, heading), make("tbody", {}, rows))));
    detail.replaceChildren(...details(map.get(chosen)));
  }
  onSelection(update);
}
