// Formats numbers for people, as the other reports of millpond do.

function scaled(value, units) {
  let [unit, scale] = units[0];
  for (const [name, size] of units) if (Math.abs(value) >= size * 0.9995) [unit, scale] = [name, size];
  const number = value / scale;
  const isWhole = scale === 1 && Number.isInteger(number);
  const digits = isWhole || Math.abs(number) >= 99.95 ? 0 : Math.abs(number) >= 9.995 ? 1 : 2;
  return `${number.toFixed(digits)} ${unit}`;
}

const bytes = (value) =>
  scaled(value, [["B", 1], ["KiB", 2 ** 10], ["MiB", 2 ** 20], ["GiB", 2 ** 30], ["TiB", 2 ** 40]]);
const time = (ns) => scaled(ns, [["ns", 1], ["µs", 1e3], ["ms", 1e6], ["s", 1e9]]);
const count = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, ",");
const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** A share of a whole; never 0 % for something, and never 100 % for less than all. */
function percent(part, whole) {
  const value = whole > 0 ? (100 * part) / whole : 0;
  if (value === 0) return "0 %";
  if (value < 0.01) return "less than 0.01 %";
  if (value < 1) return `${value.toFixed(2)} %`;
  if (value < 9.95) return `${value.toFixed(1)} %`;
  if (value < 99 || value === 100) return `${value.toFixed(0)} %`;
  return `${Math.min(value, 99.99).toFixed(2)} %`;
}

/** The range of a class of powers of two: `from` to below twice as much. */
function powers(exponent, format) {
  return exponent === 0 ? `below ${format(2)}` : `${format(2 ** exponent)} to ${format(2 ** (exponent + 1))}`;
}

/** Shortens a long name of a function by what is between brackets, and after that at its end. */
function brief(text, most = 60) {
  if (text.length <= most) return text;
  // The brackets of `<Type as Trait>::method` are part of the path.
  let [short, depth] = [text.startsWith("<") ? "<" : "", 0];
  for (const letter of text.slice(short.length)) {
    if ((letter === ">" || letter === ")") && depth > 0) depth -= 1;
    if (depth === 0) short += letter;
    if (letter === "<" || letter === "(") {
      if (depth === 0) short += "…";
      depth += 1;
    }
  }
  return short.length <= most ? short : `${short.slice(0, most)}…`;
}
