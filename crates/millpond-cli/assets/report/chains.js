// Blocks that were resized: how often, where, and what that copies.

function chainsView() {
  const body = view("resizes", "Resizes", [
    "Blocks that realloc made larger or smaller, once or several times in a chain. “Copied” is what resizing copies if each block moves, so it is the most that can be saved by asking for the final size at once.",
  ]);
  const most = 15;

  function update() {
    const resizes = total().resizes;
    if (resizes === 0) {
      body.replaceChildren(empty(`No block was resized in ${during()}.`));
      return;
    }
    const lengths = data.chains.map(([level, list]) => [level, rangeSum(list, 1)[0]]).filter(([, blocks]) => blocks > 0);
    const often = (level) => (level === 0 ? "once" : `${2 ** level} to ${2 ** (level + 1) - 1} times`);
    const ended = lengths.reduce((sum, [, blocks]) => sum + blocks, 0);
    const histogram = lengths.length === 0 ? make("p", {}, "None of the resized blocks ended in this range.") :
      table(`Resized blocks that were freed in ${during()}, or live at the end of the recording, by how often they were resized`, [{ title: "resized", left: true }, { title: "blocks" }, { title: "share" }], lengths.map(([level, blocks]) => [often(level), count(blocks), percent(blocks, ended)]));
    const sites = siteSums().map((sum, site) => ({ site, ...sum })).filter((sum) => sum.resizes > 0).sort((a, b) => b.copied - a.copied);
    const span = (from, to) => (from === to ? count(from) : `${count(from)} to ${count(to)}`);
    const rows = sites.slice(0, most).map(({ site, resizes, copied }) => {
      const known = data.sites[site].resized;
      const whole = known ? [count(known[0]), count(known[2]), span(known[4], known[5]), span(known[6], known[7])] : ["–", "–", "–", "–"];
      return [make("span", { class: "name" }, siteName(site)), count(resizes), bytes(copied), ...whole];
    });
    const columns = ["site", "resizes", "copied", "blocks resized*", "most resizes of one*", "first size*", "last size*"].map((title, at) => ({ title, left: at === 0 }));
    const caption = `Sites whose blocks were resized in ${during()}, by bytes copied${sites.length > most ? ` (${most} of ${count(sites.length)})` : ""}; columns with * are about the whole recording`;
    body.replaceChildren(scrolling("Resized blocks", histogram), make("h3", {}, "By site"), scrolling("Table of sites that resize", table(caption, columns, rows)));
  }
  onSelection(update);
}
