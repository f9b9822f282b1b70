//! The text that `millpond` prints if it is run without arguments.

/// Text before the bundled replay.
pub(crate) const BEFORE_BUNDLED: &str = "\
Would memory pools help a program? Ask it of your own:

    millpond try -- PROGRAM ARGS...

Without arguments, millpond replays a recording that comes with it, of jq formatting the package list of a
Debian system. That takes a few seconds. `millpond --help` says what else there is.

";

/// Text after the bundled replay.
pub(crate) const AFTER_BUNDLED: &str = "
How to read it: the first table replays every allocation of the program, in the same order, through the allocator that
it has now (glibc), through mimalloc, and through Millpond's pools, these also on huge pages where the system has some.
\"ns/event\" is what one malloc, realloc or free costs; \"peak memory\" is what was asked for, plus what lies unused
inside blocks, plus what lies around them. The second table is how the pools should be cut. The last lines are the
answer.
";
