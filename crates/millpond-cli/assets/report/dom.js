// Makes elements. Text is always set as text, never as HTML: names in a trace may contain anything.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || (value === false && !name.startsWith("aria-"))) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else element.setAttribute(name, value === true && !name.startsWith("aria-") ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return element;
}

const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);

/** Says something to screen readers. */
function say(text) {
  byId("status").textContent = text;
}

/** Begins the view in the section `id`: heading, explanation, and a place for what changes, which is returned. */
function view(id, heading, explanation, controls = []) {
  const body = make("div");
  byId(id).replaceChildren(
    make("h2", { id: `${id}-title` }, heading),
    ...[explanation].flat().map((text) => make("p", { class: "soft" }, text)),
    controls.length > 0 ? make("div", { class: "controls" }, controls) : "",
    body,
  );
  return body;
}

/** A message in place of an empty view. */
const empty = (text) => make("p", { class: "empty" }, text);

/** A choice of one among several. */
function choice(label, options, onchange) {
  const select = make("select", { onchange: () => onchange(select.value) });
  for (const [value, text] of options) select.append(make("option", { value }, text));
  return make("label", {}, label, select);
}

/** A region that scrolls sideways, which keyboards must reach. */
const scrolling = (label, ...children) =>
  make("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 }, children);

/** A table. Columns are `{title, left}`; a cell is text or an element. */
function table(caption, columns, rows) {
  const side = (column) => (columns[column].left ? "left" : undefined);
  const head = columns.map((column, at) => make("th", { scope: "col", class: side(at) }, column.title));
  const line = (row) => make("tr", {}, row.map((cell, at) => make("td", { class: side(at) }, cell)));
  return make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, head)), make("tbody", {}, rows.map(line)));
}
