// Which threads free the blocks of which threads.

function threadsView() {
  const body = view("threads", "Threads", [
    "Rows are threads that allocated, columns are threads that freed. Blocks outside of the diagonal pass from one thread to another: they cannot stay in a cache of one thread.",
  ]);
  const names = [...data.threads.map(threadName), "all others"];

  function update() {
    const flows = data.flows.map(([from, to, list]) => [from, to, ...rangeSum(list, 2)]).filter((flow) => flow[2] > 0);
    const all = flows.reduce((sum, flow) => sum + flow[2], 0);
    if (all === 0) {
      body.replaceChildren(empty(`No block was freed in ${during()}.`));
      return;
    }
    if (data.trace.threads === 1) {
      body.replaceChildren(empty("The program allocated and freed on one thread only."));
      return;
    }
    const crossing = flows.filter(([from, to]) => from !== to || from === data.threads.length).reduce((sum, flow) => sum + flow[2], 0);
    const used = names.map((_, at) => at).filter((at) => flows.some(([from, to]) => from === at || to === at));
    used.sort((a, b) => (data.threads[a] ?? Infinity) - (data.threads[b] ?? Infinity));
    const most = Math.max(...flows.map((flow) => flow[2]));
    const cell = (from, to) => {
      const flow = flows.find((flow) => flow[0] === from && flow[1] === to);
      if (!flow) return make("td", {}, "");
      const strength = (0.3 * Math.log1p(flow[2])) / Math.log1p(most);
      return make("td", { title: `${names[from]} allocated, ${names[to]} freed: ${bytes(flow[3])}`, style: { background: `rgba(var(--heat), ${strength.toFixed(2)})` } }, count(flow[2]));
    };
    const head = make("tr", {}, make("th", { scope: "col", class: "left" }, "allocated by ↓  freed by →"), used.map((to) => make("th", { scope: "col" }, names[to])));
    const rows = used.map((from) => make("tr", {}, make("th", { scope: "row", class: "left" }, names[from]), used.map((to) => cell(from, to))));
    const hidden = data.all.threads > data.threads.length ? ` The ${data.threads.length} threads that requested most are listed, of ${count(data.all.threads)}.` : "";
    body.replaceChildren(
      make("p", {}, `${percent(crossing, all)} of ${counted(all, "freed block")} were freed by another thread than the one that had allocated them.${hidden}`),
      scrolling("Table of threads", make("table", { class: "matrix" }, make("caption", {}, `Blocks freed in ${during()}`), make("thead", {}, head), make("tbody", {}, rows))),
    );
  }
  onSelection(update);
}
