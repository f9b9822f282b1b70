// The sizes that were requested, and what rounding them up takes.

/** The bytes that glibc takes for a block from its heap: a header of 8 bytes, in steps of 16, at least 32. Larger blocks can be
    mappings of their own, for which this is not computed. */
const glibc = (size) => (size >= 128 * 1024 ? null : Math.max(32, Math.ceil((size + 8) / 16) * 16));

function sizesView() {
  const listed = data.sizes.length < data.all.sizes ? ` The ${data.sizes.length} sizes that are most frequent or have the most bytes are listed, of ${count(data.all.sizes)}.` : "";
  const body = view("sizes", "Sizes, and what rounding takes", [
    `Sizes that the program requested.${listed} “Waste” is what glibc's malloc takes beyond the bytes requested, for its header of 8 bytes and for rounding up to a multiple of 16, when most bytes are live. It is computed from the sizes, not measured; for blocks of 128 KiB and more it is not computed.`,
  ]);
  let shown = 20;

  function update() {
    const peak = peakSpan();
    const rows = data.sizes.map(([size, list]) => {
      const [allocations] = rangeSum(list, 3);
      const [, end] = valuesAt(list, 3, selection.to - 1);
      const [, , atPeak] = valuesAt(list, 3, peak);
      const chunk = glibc(size);
      return { size, allocations, end, atPeak, chunk, waste: chunk === null ? null : (chunk - size) * atPeak };
    }).filter((row) => row.allocations > 0 || row.atPeak > 0 || row.end > 0);
    if (rows.length === 0) {
      body.replaceChildren(empty(data.trace.allocations === 0 ? "The program allocated nothing." : `Nothing was allocated or live in ${during()}.`));
      return;
    }
    rows.sort((a, b) => b.allocations - a.allocations || b.atPeak - a.atPeak);
    const waste = rows.reduce((sum, row) => sum + (row.waste ?? 0), 0);
    const covered = rows.reduce((sum, row) => sum + (row.chunk === null ? 0 : row.size * row.atPeak), 0);
    const asked = data.span_peaks[peak];
    const summary = make("p", {}, `When ${bytes(asked)} were live, glibc would take ${bytes(waste)} more for the ${bytes(covered)} in the sizes below 128 KiB that are listed: ${percent(waste, waste + covered)} of what it takes for them.`);
    const calls = total().calls;
    const cells = rows.slice(0, shown).map((row) => [
      count(row.size), count(row.allocations), percent(row.allocations, calls), count(row.atPeak), count(row.end),
      row.chunk === null ? "–" : count(row.chunk), row.waste === null ? "–" : bytes(row.waste), row.chunk === null ? "–" : percent(row.chunk - row.size, row.chunk),
    ]);
    const columns = ["size", "allocations", "share", "live at the peak", "live at the end", "bytes in glibc", "waste at the peak", "waste of a block"];
    const more = make("button", { type: "button", hidden: rows.length <= shown, onclick: () => { shown *= 2; update(); } }, `Show more of ${rows.length} sizes`);
    body.replaceChildren(summary, scrolling("Table of sizes", table(`Sizes in bytes, for ${during()}`, columns.map((title) => ({ title })), cells)), more);
  }
  onSelection(update);
}
