// The data as files. They are made in the browser; nothing is sent anywhere.

/** A line of CSV. A text that a spreadsheet would take for a formula gets an apostrophe in front. */
const csvLine = (cells) =>
  cells.map((cell) => {
    const text = typeof cell === "string" ? cell.replace(/^[=+\-@\t\r]/, "'$&") : String(cell ?? "");
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",");

function save(file, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: file }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const FILES = {
  "timeline.csv": () => [["from_ns", "most_live_bytes", "live_bytes_at_end", "allocations", "frees"], ...data.timeline.most.map((most, bin) => [bin * data.timeline.bin_ns, most, data.timeline.last[bin], data.timeline.allocations[bin], data.timeline.frees[bin]])],
  "sites.csv": () => [["site", "callers", ...Object.keys(zero())], ...siteSums().map((sum, site) => [siteName(site), data.sites[site].frames.map((fn) => where(fn)).join(" < "), ...Object.values(sum)])],
  "sizes.csv": () => [["size", "allocations", "live_at_peak", "live_at_end"], ...data.sizes.map(([size, list]) => [size, rangeSum(list, 3)[0], valuesAt(list, 3, peakSpan())[2], valuesAt(list, 3, selection.to - 1)[1]])],
  "lifetimes.csv": () => [["size_from", "lifetime_from_ns", "blocks", "bytes"], ...data.heat.map(([size, lifetime, list]) => [size === 0 ? 0 : 2 ** size, lifetime === 0 ? 0 : 2 ** lifetime, ...rangeSum(list, 2)])],
  "threads.csv": () => [["allocated_by", "freed_by", "blocks", "bytes"], ...data.flows.map(([from, to, list]) => [data.threads[from] ?? "others", data.threads[to] ?? "others", ...rangeSum(list, 2)])],
};

function downloadsView() {
  const body = view("data-files", "Data", ["The data of this page as files: CSV for the selected range (the timeline is always whole), and everything as JSON, whose fields are described in JSON.md in millpond's sources. The files are made in the browser."]);
  const button = (file, make_) => make("button", { type: "button", onclick: make_ }, file);
  const csv = Object.entries(FILES).map(([file, rows]) => button(file, () => save(file, "text/csv", rows().map(csvLine).join("\r\n") + "\r\n")));
  body.append(make("div", { class: "controls" }, csv, button("report.json", () => save("report.json", "application/json", JSON.stringify(data)))));
}
