// The data of the trace, and sums over the selected range of time. A range consists of whole spans, for which everything
// was counted exactly.

const data = JSON.parse(byId("data").textContent);
const SPANS = data.span_peaks.length;
/** The last site stands for all that are not listed each by itself. */
const OTHERS = data.sites.length - 1;

/** What is selected: spans from `from` to before `to`, and a site or null. */
const selection = { from: 0, to: SPANS, site: null };
const listeners = [];

/** Calls `update` now and whenever the selection changes. */
function onSelection(update) {
  listeners.push(update);
  update();
}

function select(change) {
  Object.assign(selection, change);
  sums.clear();
  for (const update of listeners) update();
}

const isWhole = () => selection.from === 0 && selection.to === SPANS;
const wallNs = Math.max(data.trace.wall_ns, data.timeline.bin_ns * data.timeline.most.length);
const startNs = () => selection.from * data.span_ns;
const endNs = () => Math.min(selection.to * data.span_ns, wallNs);

/** The span of the selection in which most bytes were live. */
function peakSpan() {
  let best = selection.from;
  for (let span = selection.from; span < selection.to; span++) if (data.span_peaks[span] > data.span_peaks[best]) best = span;
  return best;
}

const sums = new Map();
/** Returns what `compute` returns, until the selection changes. */
function once(key, compute) {
  if (!sums.has(key)) sums.set(key, compute());
  return sums.get(key);
}

const zero = () => ({
  calls: 0, bytes: 0, temporaries: 0, frees: 0, resizes: 0, copied: 0, endBlocks: 0, endBytes: 0, peakBlocks: 0, peakBytes: 0,
});

function add(sum, more) {
  for (const name in more) sum[name] += more[name];
}

/** What a unit did in the selection. Entries are [span, calls, bytes, temporaries, frees, resizes, copied, then blocks and
    bytes live at the end of the span, and blocks and bytes live when most bytes of the program are]. */
function unitSum(list, peak) {
  const sum = zero();
  for (let at = 0; at < list.length && list[at] < selection.to; at += 11) {
    const span = list[at];
    [sum.endBlocks, sum.endBytes] = [list[at + 7], list[at + 8]];
    if (span < peak) [sum.peakBlocks, sum.peakBytes] = [list[at + 7], list[at + 8]];
    if (span === peak) [sum.peakBlocks, sum.peakBytes] = [list[at + 9], list[at + 10]];
    if (span < selection.from) continue;
    sum.calls += list[at + 1];
    sum.bytes += list[at + 2];
    sum.temporaries += list[at + 3];
    sum.frees += list[at + 4];
    sum.resizes += list[at + 5];
    sum.copied += list[at + 6];
  }
  return sum;
}

const unitSums = () =>
  once("units", () => {
    const peak = peakSpan();
    return data.units.map(([, , list]) => unitSum(list, peak));
  });

const siteSums = () =>
  once("sites", () => {
    const sites = data.sites.map(zero);
    unitSums().forEach((sum, unit) => add(sites[data.units[unit][0]], sum));
    return sites;
  });

const total = () =>
  once("total", () => {
    const all = zero();
    for (const sum of unitSums()) add(all, sum);
    return all;
  });

/** Sums of lists of [span, values…] over the selection. */
function rangeSum(list, values) {
  const sum = new Array(values).fill(0);
  for (let at = 0; at < list.length; at += values + 1) {
    if (list[at] < selection.from || list[at] >= selection.to) continue;
    for (let value = 0; value < values; value++) sum[value] += list[at + 1 + value];
  }
  return sum;
}

/** The values of a list of [span, values…] in one span; zeros if there are none. */
function valuesAt(list, values, span) {
  for (let at = 0; at < list.length; at += values + 1) if (list[at] === span) return list.slice(at + 1, at + 1 + values);
  return new Array(values).fill(0);
}

/** Bytes of a site that are live at the end of each span of the recording. */
const liveOfSites = () =>
  (liveOfSites.known ??= data.units.reduce((sites, [site, , list]) => {
    const line = (sites[site] ??= new Array(SPANS).fill(0));
    let live = 0;
    for (let span = 0, at = 0; span < SPANS; span++) {
      if (list[at] === span) {
        live = list[at + 8];
        at += 11;
      }
      line[span] += live;
    }
    return sites;
  }, []));

const name = (fn) => data.texts[data.functions[fn][0]];
const fileName = (fn) => data.texts[data.functions[fn][1]].replace(/.*\//, "");

/** A function with its file and line. */
function where(fn, format = (text) => text) {
  const line = data.functions[fn][2];
  const file = fileName(fn);
  return format(name(fn)) + (file === "" ? "" : ` (${line > 0 ? `${file}:${line}` : file})`);
}

/** The name of a site, shortened. */
function siteName(site) {
  const { frames } = data.sites[site];
  if (site === OTHERS) return `${counted(data.all.sites - OTHERS, "other site")}, all together`;
  return frames.length === 0 ? "unknown callers" : where(frames[0], brief);
}

function threadName(number) {
  const known = data.by_thread.find((thread) => thread.thread === number);
  return known?.name ? `${number} (${known.name})` : `thread ${number}`;
}

/** Says which time the figures of a view are about. */
const during = () => (isWhole() ? "the whole recording" : `${time(startNs())} to ${time(endNs())}`);
