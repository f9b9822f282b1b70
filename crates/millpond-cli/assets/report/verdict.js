// Whether pools or another allocator would help, from a replay of the whole recording.

function verdictView() {
  const { verdict, not_replayed } = data;
  const body = view("verdict", "Would pools help?", [
    "Every allocation of the program was replayed, in the same order, with the allocator that it uses now and with others.",
  ]);
  if (!verdict) {
    body.replaceChildren(empty(not_replayed ?? "The recording has no events."));
    return;
  }
  const range = ({ median, least, most }) => `${median.toFixed(1)} (${least.toFixed(1)} to ${most.toFixed(1)})`;
  const columns = ["allocator", "ns per event", "in all", `against ${verdict.baseline}`, "CPU time of the program", "peak memory", `against ${verdict.baseline}`];
  const rows = verdict.allocators.map((allocator) => [
    allocator.title, allocator.ns_per_event === null ? "?" : range(allocator.ns_per_event), allocator.total_ns === null ? "?" : time(allocator.total_ns), allocator.time, allocator.program, allocator.peak_resident_bytes === null ? "unknown" : bytes(allocator.peak_resident_bytes), allocator.memory,
  ]);
  const notes = [
    verdict.locality, verdict.mimalloc, verdict.without_huge && `Left out: the advised pools on huge pages, since ${verdict.without_huge}.`,
    verdict.is_debug && "This was a debug build of millpond, whose pools are slower than those of a release build.",
  ];
  const about = `Medians of ${counted(verdict.rounds, "round")}, with the range of the rounds. “same”: the rounds agree that the difference is below 2 %; “?”: they do not agree, or a time is not above that of the loop that is subtracted.`;
  body.append(make("p", {}, make("strong", {}, verdict.text)), ...notes.filter((note) => note).map((note) => make("p", {}, note)),
    make("p", { class: "soft" }, about),
    scrolling("Replay with each allocator", table("Replay with each allocator", columns.map((title, at) => ({ title, left: at === 0 })), rows)));
}
