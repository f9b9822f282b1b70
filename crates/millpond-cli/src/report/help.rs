//! The text that `millpond` prints if it is run without arguments.

/// Text before the bundled replay.
pub(crate) const BEFORE_BUNDLED: &str = "\
Would memory pools help your program? To find out, run:

    millpond try -- PROGRAM ARGS...

Without arguments, millpond replays a recording that comes with it, of jq formatting the package list of a
Debian system. That takes a few seconds. `millpond --help` lists all commands.

";

/// Text after the bundled replay.
pub(crate) const AFTER_BUNDLED: &str = "
How to read it: every allocation of the program was replayed, in the same order, through the allocator that it uses now
(glibc), through mimalloc, and through Millpond's pools, also on huge pages where the system has them. The first table
is the time: \"ns/event\" is what one malloc, realloc or free costs. The second table is the memory: \"peak memory\" is
what the program requested, plus what is unused inside blocks and around them. The third table lists the block sizes
that pools should have. The last lines are the answer.
";
