// The table of call sites.

const STEP = 25;
const SITE_COLUMNS = [
  { title: "bytes requested", of: "bytes", format: bytes },
  { title: "allocations", of: "calls", format: count },
  { title: "live at the peak", of: "peakBytes", format: bytes },
  { title: "temporary", of: "temporaries", format: count },
  { title: "freed", of: "frees", format: count },
  { title: "live at the end", of: "endBytes", format: bytes },
];

function spark(site) {
  const line = liveOfSites()[site] ?? [];
  const most = Math.max(1, ...line);
  const points = line.map((value, span) => `${((90 * span) / Math.max(1, SPANS - 1)).toFixed(1)},${(19 - (18 * value) / most).toFixed(1)}`);
  return draw("svg", { class: "spark", viewBox: "0 0 90 20", "aria-hidden": true }, draw("polyline", { points: points.join(" ") }));
}

const LIFETIMES = {
  temporary: "nearly all blocks are freed by the next event of their thread",
  short: "half of the blocks live for less than a hundredth of the recording",
  long: "most blocks live for more than a hundredth of the recording, and are freed",
  kept: "half of the blocks or more are live at the end of the recording",
};

/** What is known about a site besides the columns; all of it is about the whole recording. */
function siteDetails(site) {
  const { frames, through, more_frames, stacks, lifetime, median_lifetime_ns, freed_elsewhere, resized } = data.sites[site];
  const facts = [`${counted(stacks, "call stack")} lead${stacks === 1 ? "s" : ""} here.`];
  if (lifetime) facts.push(`Lifetime: ${lifetime} (${LIFETIMES[lifetime]}).`);
  if (median_lifetime_ns) facts.push(`Half of the freed blocks lived for less than ${time(median_lifetime_ns)}.`);
  if (freed_elsewhere > 0) facts.push(`Other threads freed ${counted(freed_elsewhere, "block")}.`);
  if (resized) facts.push(`${counted(resized[0], "block")} were resized, ${counted(resized[1], "time")} in all.`);
  const chain = frames.map((fn) => make("li", { class: "name" }, where(fn)));
  if (more_frames > 0) chain.push(make("li", {}, `${counted(more_frames, "further caller")}`));
  const inner = through.length > 0 ? make("p", {}, "Allocates through ", make("span", { class: "name" }, through.map(name).join(" ← ")), ".") : "";
  const only = make("button", { type: "button", onclick: () => { select({ site: selection.site === site ? null : site }); byId("stacks").scrollIntoView(); } }, "Show only this site in the flame graph");
  return [make("p", {}, `Whole recording: ${facts.join(" ")}`), inner, chain.length > 0 ? make("p", {}, "Called by, in the stack that requested most:") : "", make("ol", { class: "chain" }, chain), only];
}

function sitesView() {
  let [order, descending, shown, pattern] = ["bytes", true, STEP, ""];
  const open = new Set();
  const search = make("input", { type: "search", placeholder: "part of a name", oninput: () => { pattern = search.value.toLowerCase(); update(); } });
  const listed = OTHERS < data.all.sites ? ` The ${count(OTHERS)} sites that are among the 500 largest by a measure are listed one by one, the other ${count(data.all.sites - OTHERS)} in one row.` : "";
  const body = view("sites", "Call sites", [
    `Where the program asks for memory: the first function from the inside that does not allocate for others, as malloc, operator new and containers do. A block belongs to the site that allocated it.${listed}`,
  ], [make("label", {}, "Search", search)]);
  const place = make("div");
  const more = make("button", { type: "button", onclick: () => { shown *= 2; update(); } });
  body.append(place, more);

  const text = data.sites.map((site, at) => [siteName(at), ...site.frames.map(name), ...site.through.map(name)].join("\n").toLowerCase());

  function heading({ title, of }) {
    const sorted = of === order ? (descending ? "descending" : "ascending") : undefined;
    const sort = () => {
      [order, descending] = [of, of === order ? !descending : true];
      update();
      [...place.querySelectorAll("th button")].find((button) => button.dataset.of === of)?.focus();
    };
    return make("th", { scope: "col", "aria-sort": sorted }, make("button", { type: "button", "data-of": of, onclick: sort }, `${title}${sorted ? (descending ? " ▾" : " ▴") : ""}`));
  }

  function row(site, sum) {
    const all = total();
    const cells = SITE_COLUMNS.map(({ of, format }) => make("td", {}, format(sum[of]), of === "bytes" ? make("span", { class: "soft" }, ` ${percent(sum[of], all[of])}`) : ""));
    const fold = make("button", { type: "button", class: "fold", "aria-expanded": open.has(site), "aria-label": `Details of ${siteName(site)}`, onclick: () => {
      open.has(site) ? open.delete(site) : open.add(site);
      update();
      place.querySelector(`button.fold[data-site="${site}"]`)?.focus();
    }, "data-site": site }, open.has(site) ? "−" : "+");
    const line = make("tr", {}, make("td", { class: "left" }, make("div", { class: "site" }, fold, make("span", { class: "name" }, siteName(site)))), cells, make("td", {}, data.sites[site].lifetime ?? "–"), make("td", {}, spark(site)));
    return open.has(site) ? [line, make("tr", { class: "more" }, make("td", { colspan: SITE_COLUMNS.length + 3 }, siteDetails(site)))] : [line];
  }

  function update() {
    const sites = siteSums();
    const isUsed = (sum) => SITE_COLUMNS.some(({ of }) => sum[of] > 0);
    let list = sites.map((_, site) => site).filter((site) => isUsed(sites[site]) && (pattern === "" || text[site].includes(pattern)));
    list.sort((a, b) => (sites[b][order] - sites[a][order]) * (descending ? 1 : -1));
    more.hidden = list.length <= shown;
    if (list.length === 0) {
      const why = pattern !== "" ? `No site has “${pattern}” in the names of its functions.` : data.trace.allocations === 0 ? "The program allocated nothing." : `No site has blocks in ${during()}.`;
      place.replaceChildren(empty(why));
      return;
    }
    more.textContent = `Show more of ${count(list.length)} sites`;
    const head = make("tr", {}, make("th", { scope: "col", class: "left" }, "site"), SITE_COLUMNS.map(heading), make("th", { scope: "col" }, "lifetime*"), make("th", { scope: "col" }, "live over time*"));
    const rows = list.slice(0, shown).flatMap((site) => row(site, sites[site]));
    place.replaceChildren(scrolling("Table of call sites", make("table", {}, make("caption", {}, `Figures for ${during()}; columns with * are about the whole recording. “Temporary” blocks were freed by the next event of the thread that had allocated them.`), make("thead", {}, head), make("tbody", {}, rows))));
  }
  onSelection(update);
}
