// The flame graph: callers above what they call, as wide as what was allocated in them and in what they called.

const MEASURES = {
  bytes: { title: "bytes requested", said: "requested", of: "bytes", format: bytes },
  calls: { title: "allocations", of: "calls", format: count },
  peak: { title: "live at the peak", of: "peakBytes", format: bytes },
  temporaries: { title: "temporary blocks", of: "temporaries", format: count },
  live: { title: "still live at the end", of: "endBytes", format: bytes },
};
const ROW = 18;
const NARROWEST = 2;
/** How many callers are shown at both ends of a long path to the box that is zoomed to. */
const ENDS = 3;
/** A box with at least this share of its caller is only a step on the way to where the graph branches. */
const TRUNK = 0.98;

/** The tree of functions: nodes of the trace, whose inlined functions become boxes of their own. Calls of one function from
    several places in another are one box. */
function boxes() {
  const root = { parent: null, fn: null, depth: 0, children: new Map(), value: 0 };
  const ofNode = [root];
  data.nodes.forEach(([parent, frame], node) => {
    if (node === 0) return;
    let box = ofNode[parent];
    for (const fn of data.frames[frame].toReversed()) {
      const key = data.functions[fn][0];
      let child = box.children.get(key);
      if (!child) box.children.set(key, (child = { parent: box, fn, depth: box.depth + 1, children: new Map(), value: 0 }));
      box = child;
    }
    ofNode[node] = box;
  });
  return { root, ofNode };
}

const boxName = (box) => (box.fn === null ? "the whole program" : name(box.fn));

function flameView() {
  const { root, ofNode } = boxes();
  const all = [];
  (function collect(box) {
    all.push(box);
    for (const child of box.children.values()) collect(child);
  })(root);
  let [measure, top, current, pattern, zoomed, drawnWidth] = ["bytes", root, root, "", false, 0];
  const search = make("input", { type: "search", placeholder: "part of a name", oninput: () => { pattern = search.value.toLowerCase(); layout(); } });
  const controls = [
    choice("Show", Object.entries(MEASURES).map(([key, { title }]) => [key, title]), (value) => { measure = value; update(); }),
    make("label", {}, "Search", search),
    make("button", { type: "button", onclick: () => zoom(root) }, "Reset zoom"),
  ];
  const body = view("stacks", "Flame graph of call stacks", [
    "A box is a function; below it is what it called. Its width is what was allocated in it and below it. Press a box to zoom in. With the keyboard: arrow keys move, Enter zooms, Escape zooms out.",
  ], controls);
  const about = make("p", { id: "box" });
  const found = make("p", { class: "soft" });
  const canvas = make("div", { class: "flame", role: "tree", tabindex: 0, "aria-label": "Flame graph" });
  body.append(about, canvas, found);

  function values() {
    for (const box of all) box.value = 0;
    const field = MEASURES[measure].of;
    unitSums().forEach((sum, unit) => {
      const [site, node] = data.units[unit];
      if (selection.site === null || selection.site === site) ofNode[node].value += sum[field];
    });
    for (let at = all.length - 1; at > 0; at--) all[at].parent.value += all[at].value;
  }

  function describe(box) {
    const { title, said = title, format } = MEASURES[measure];
    const share = box === root ? "" : `, ${percent(box.value, root.value)} of all`;
    const inside = box.value - [...box.children.values()].reduce((sum, child) => sum + child.value, 0);
    const own = box.children.size > 0 && inside > 0 && box !== root ? `; ${format(inside)} by itself, or in callees too small to be listed` : "";
    about.replaceChildren(make("strong", { class: "name" }, box.fn === null ? boxName(box) : where(box.fn)), `: ${format(box.value)} ${said}${share}${own}`);
  }

  function zoom(box) {
    [top, current, zoomed] = [box, box, true];
    layout();
  }

  const matches = (box) => pattern !== "" && box.fn !== null && name(box.fn).toLowerCase().includes(pattern);

  function layout() {
    drawnWidth = canvas.clientWidth;
    const width = drawnWidth - 2;
    const items = [];
    const path = [];
    for (let box = top; box; box = box.parent) path.unshift(box);
    const place = (box, left, wide, row, more = "") => {
      const title = boxName(box) + more;
      const classes = [matches(box) && "match", box.fn !== null && !data.texts[data.functions[box.fn][1]] && "library", box === current && "current"];
      box.item = make("div", {
        role: "treeitem", id: `box-${items.length}`, "aria-level": row + 1, "aria-selected": box === current,
        class: classes.filter(Boolean).join(" "), style: { left: `${(100 * left) / width}%`, top: `${row * ROW}px`, width: `${(100 * wide) / width}%` },
        "aria-label": `${title}, ${MEASURES[measure].format(box.value)}`, title: `${title}\n${MEASURES[measure].format(box.value)} (${percent(box.value, root.value)})`,
        onclick: () => zoom(box), onpointerenter: () => describe(box),
      }, wide > 24 ? title : "");
      items.push(box.item);
    };
    for (const box of all) box.item = null;
    // Of a long path of callers only the ends are shown.
    const hidden = path.length > 2 * ENDS + 1 ? path.splice(ENDS, path.length - 2 * ENDS) : [];
    path.forEach((box, row) => place(box, 0, width, row, row === ENDS - 1 && hidden.length > 0 ? ` … ${counted(hidden.length, "function")} between are not shown` : ""));
    const down = (box, left, scale, row) => {
      let position = left;
      for (const child of [...box.children.values()].sort((a, b) => b.value - a.value)) {
        const wide = child.value * scale;
        if (wide < NARROWEST) break;
        place(child, position, wide, row);
        down(child, position, scale, row + 1);
        position += wide;
      }
    };
    if (top.value > 0) down(top, 0, width / top.value, path.length);
    canvas.replaceChildren(...items);
    const rows = Math.max(...items.map((item) => Number(item.getAttribute("aria-level"))));
    canvas.style.height = `${rows * ROW + 4}px`;
    activate(current);
    const sum = pattern === "" ? 0 : outermost(root);
    found.textContent = pattern === "" ? "Orange: source file known. Grey: no debug information." : `${percent(sum, root.value)} (${MEASURES[measure].format(sum)}) in functions with “${pattern}” in their names and in what they called.`;
  }

  /** The sum of the outermost boxes that match. */
  function outermost(box) {
    if (matches(box)) return box.value;
    return [...box.children.values()].reduce((sum, child) => sum + outermost(child), 0);
  }

  function activate(box) {
    current.item?.classList.remove("current");
    current.item?.setAttribute("aria-selected", "false");
    current = box;
    box.item?.classList.add("current");
    box.item?.setAttribute("aria-selected", "true");
    if (box.item) canvas.setAttribute("aria-activedescendant", box.item.id);
    describe(box);
  }

  /** The box below `box` at which the graph first branches. */
  function trunk(box) {
    const [child] = [...box.children.values()].sort((a, b) => b.value - a.value);
    return child && child.value >= TRUNK * root.value ? trunk(child) : box;
  }

  /** The nearest caller that is drawn. */
  function shownCaller(box) {
    return box.parent && !box.parent.item ? shownCaller(box.parent) : box.parent;
  }

  const shown = (list) => list.filter((box) => box.item).sort((a, b) => b.value - a.value);
  canvas.addEventListener("keydown", (event) => {
    const siblings = current.parent ? shown([...current.parent.children.values()]) : [current];
    const at = siblings.indexOf(current);
    const next = {
      ArrowDown: () => shown([...current.children.values()])[0],
      ArrowUp: () => shownCaller(current),
      ArrowRight: () => siblings[at + 1],
      ArrowLeft: () => siblings[at - 1],
      Home: () => root,
    }[event.key];
    if (next) {
      const box = next();
      if (box?.item) activate(box);
      current.item?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") zoom(current);
    else if (event.key === "Escape") zoom(top.parent ?? root);
    else return;
    event.preventDefault();
  });

  function update() {
    values();
    if (root.value === 0) {
      canvas.hidden = true;
      about.textContent = data.trace.allocations === 0 ? "The program allocated nothing." : `Nothing to show: no ${MEASURES[measure].title} in ${during()}${selection.site === null ? "" : " by this site"}.`;
      found.textContent = "";
      return;
    }
    canvas.hidden = false;
    if (top.value === 0 || !zoomed) top = current = trunk(root);
    layout();
  }
  onSelection(update);
  new ResizeObserver(() => {
    if (canvas.clientWidth !== drawnWidth && root.value > 0) layout();
  }).observe(canvas);
}
