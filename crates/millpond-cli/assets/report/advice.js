// What to do about call sites, with code to paste.

/** How many sites are shown at first. */
const FIRST = 5;
const CODE = { rust: "Rust", c: "C", cpp: "C++" };

/** A text with a full stop at its end, whether it has one or not. */
const ended = (text) => (text.endsWith(".") ? text : `${text}.`);

function adviceView() {
  const body = view("advice", "Advice", [
    "What to do about the call sites with the most calls, judged from the whole recording. It is derived from sizes, numbers and lifetimes of blocks; what it gains is replayed for the first of them, each alone and all together. The command advise of millpond replays others.",
  ]);
  const { advice } = data;
  if (!advice) {
    body.append(empty("The recording has no events."));
    return;
  }
  const alone = `${counted(advice.left_alone, "site")} ${advice.left_alone === 1 ? "is" : "are"} better left alone.`;
  if (advice.advised.length === 0) {
    body.append(empty(`There is nothing to do: ${alone}`));
    return;
  }
  const items = advice.advised.map((site) => {
    const codes = advice.languages.filter((language) => site[language]).map((language) => make("details", {}, make("summary", {}, `Code in ${CODE[language]}`), make("pre", { tabindex: 0 }, site[language])));
    const callers = site.frames.slice(1, 4).map((fn) => where(fn, brief));
    return make("li", {},
      make("span", { class: "name" }, site.frames.length > 0 ? where(site.frames[0], brief) : "unknown callers"),
      callers.length > 0 ? make("span", { class: "name soft" }, ` ← ${callers.join(" ← ")}`) : "",
      make("div", {}, `${counted(site.calls, "call")} (${percent(site.calls_share, 1)}), ${bytes(site.bytes)}: ${site.text}.`), site.gain ? make("div", {}, `${site.gain[0].toUpperCase()}${ended(site.gain.slice(1))}`) : "", codes);
  });
  const more = advice.all_advised - advice.advised.length;
  const rest = items.splice(FIRST);
  body.append(make("ol", { class: "advice" }, items));
  if (rest.length > 0) body.append(make("details", {}, make("summary", {}, `${counted(rest.length, "more site")}`), make("ol", { class: "advice", start: FIRST + 1 }, rest)));
  if (advice.together) body.append(make("p", {}, `The sites that were replayed, all ${advice.together.of_sites.length} of them: ${ended(advice.together.gain)}`));
  if (advice.not_replayed) body.append(make("p", { class: "soft" }, advice.not_replayed));
  body.append(make("p", {}, more > 0 ? `${counted(more, "further site")} with advice: see the command advise of millpond. ` : "", alone));
}
