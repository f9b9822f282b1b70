// Where resident memory goes: from what the program requested to what the system counts.

/** The sample nearest to a time. */
function sampleNear(ns) {
  let best = null;
  for (const sample of data.samples) if (!best || Math.abs(sample[0] - ns) < Math.abs(best[0] - ns)) best = sample;
  return best;
}

function memoryView() {
  const body = view("resident", "Where resident memory goes", [
    "When most bytes were live in the selected range: what the program had requested, what the allocator handed out for it, the pages on which that lies, and what the system counts as resident.",
  ]);

  function update() {
    if (data.trace.events === 0) {
      body.replaceChildren(empty("The recording has no events."));
      return;
    }
    const span = peakSpan();
    const asked = data.span_peaks[span];
    const [usable, pages] = data.memory[span] ?? [null, null];
    const sample = sampleNear((span + 0.5) * data.span_ns);
    const [, resident, anonymous] = sample ?? [null, null, null];
    const missing = "Not recorded: only recordings by millpond record --addresses have addresses and usable sizes of blocks.";
    const unsampled = "Not recorded: the recording has no samples of resident memory.";
    const steps = [
      ["requested", asked, "What the program asked for and had not freed.", ""],
      ["usable", usable, usable === null ? missing : `The allocator rounds sizes up: ${bytes(Math.max(0, usable - asked))} more.`, ""],
      ["pages", pages, pages === null ? missing : `Pages on which these blocks lie: ${bytes(Math.max(0, pages - (usable ?? asked)))} of them are headers, free blocks and gaps.`, ""],
      ["anonymous", anonymous, anonymous === null ? unsampled : `Anonymous resident memory ${time(sample[0])} after the start: the heap with its free pages, stacks, data of the program and its libraries, and what it mapped by itself.`, "resident"],
      ["resident", resident, resident === null ? unsampled : "All resident memory: also files, such as the code of the program and its libraries.", "resident"],
    ];
    const most = Math.max(1, ...steps.map((step) => step[1] ?? 0));
    const parts = steps.flatMap(([title, value, about, kind]) => [
      make("strong", {}, title),
      make("span", {}, value === null ? "–" : bytes(value)),
      make("div", { class: "track" }, value === null ? "" : make("div", { class: `bar ${kind}`, style: { width: `${(100 * value) / most}%` } })),
      make("div", { class: "about" }, about),
    ]);
    const rest = anonymous !== null && anonymous > asked ? `Of the anonymous memory, ${percent(anonymous - asked, anonymous)} (${bytes(anonymous - asked)}) is not requested bytes.` : "";
    body.replaceChildren(make("div", { class: "bars" }, parts), make("p", {}, rest));
  }
  onSelection(update);
}
