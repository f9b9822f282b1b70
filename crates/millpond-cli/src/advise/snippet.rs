//! Advice as code to paste, in each language.

use super::{Block, Language};
use crate::units::percent;

/// What the code creates.
pub(super) struct Snippet<'a> {
    pub(super) program: &'a str,
    pub(super) blocks: &'a [Block],
    /// Share of the allocations that these sizes serve.
    pub(super) covered: f64,
    /// Whether several threads allocate.
    pub(super) has_threads: bool,
}

impl Snippet<'_> {
    /// Returns the code for a pool of these sizes; with `huge`, also on huge pages.
    pub(super) fn code(&self, language: Language, huge: bool) -> String {
        match language {
            Language::Rust if huge => self.rust_huge(),
            Language::Rust => format!("use millpond::{{{}}};\n\n{}", self.imports(), self.rust()),
            Language::C => self.c(huge),
            Language::Cpp => self.cpp(huge),
        }
    }

    /// Describes the sizes, for a comment.
    fn about(&self) -> String {
        format!("Block sizes that cover {} of the allocations of {}.", percent(self.covered), self.comment())
    }

    /// Returns the name of the program without anything that ends a comment.
    fn comment(&self) -> String {
        self.program.replace("*/", "* /")
    }

    fn sizes(&self) -> String {
        let sizes: Vec<_> = self.blocks.iter().map(|block| block.size.to_string()).collect();
        sizes.join(", ")
    }

    fn largest(&self) -> usize {
        self.blocks.last().map_or(0, |block| block.size)
    }

    /// Returns the shell of the pool.
    fn shell(&self) -> &'static str {
        if self.has_threads { "Cached" } else { "Local" }
    }

    fn imports(&self) -> &'static str {
        if self.has_threads {
            "Cached, Classes, pool::ClassesError"
        } else {
            "Classes, Local, pool::ClassesError"
        }
    }

    fn rust(&self) -> String {
        let (about, sizes, shell) = (self.about(), self.sizes(), self.shell());
        let count = self.blocks.len();
        format!(
            "/// {about}\n\
             const SIZES: [usize; {count}] = [{sizes}];\n\
             \n\
             fn pool() -> Result<{shell}<Classes>, ClassesError> {{\n    \
                 Ok({shell}::new(Classes::with_sizes(&SIZES)?))\n\
             }}\n"
        )
    }

    fn rust_huge(&self) -> String {
        let (rust, shell, largest) = (self.rust(), self.shell(), self.largest());
        let (imports, chunks) = if self.has_threads {
            ("Cached, Classes, Heap, Linear, Locked", "Locked")
        } else {
            ("Classes, Heap, Linear, Local", "Local")
        };
        format!(
            "use millpond::{{{imports}, guard::Segregator, pool::ClassesError, source::TunedPages}};\n\
             \n\
             {rust}\n\
             /// On huge pages; blocks larger than {largest} bytes come from the heap.\n\
             type OnHugePages = Segregator<{shell}<Classes, {chunks}<Linear, TunedPages>>, Heap>;\n\
             \n\
             fn pool_on_huge_pages() -> Result<OnHugePages, ClassesError> {{\n    \
                 let classes = Classes::with_sizes(&SIZES)?;\n    \
                 let pages = {chunks}::new_in(Linear::new(), TunedPages::new().transparent_huge_pages());\n    \
                 Ok(Segregator::new(SIZES[SIZES.len() - 1], {shell}::new_in(classes, pages), Heap))\n\
             }}\n"
        )
    }

    /// Returns the initialisers for the options of a pool in C, including `parent` if the pool has one.
    fn c_options(&self, parent: Option<&str>) -> String {
        let sharing = self.has_threads.then_some(".sharing = MP_CACHED");
        let parent = parent.map(|parent| format!(".parent = {parent}"));
        let sizes = [".sizes = SIZES", ".size_count = sizeof SIZES / sizeof *SIZES"].map(str::to_owned);
        let all: Vec<_> = parent.into_iter().chain(sharing.map(str::to_owned)).chain(sizes).collect();
        all.join(", ")
    }

    fn c(&self, huge: bool) -> String {
        let (about, sizes, options) = (self.about(), self.sizes(), self.c_options(None));
        let mut code = format!(
            "/* cc program.c $(pkg-config --cflags --libs millpond) */\n\
             #include <millpond.h>\n\
             \n\
             /* {about} */\n\
             static const size_t SIZES[] = {{{sizes}}};\n\
             \n\
             /* A pool of these, or NULL: mp_last_detail() says why. mp_destroy(&pool->allocator) ends it. */\n\
             static inline mp_classes *make_pool(void)\n\
             {{\n    \
                 return mp_classes_create(MP_OPTIONS(mp_classes_options, {options}));\n\
             }}\n\
             \n\
             /* As malloc and free. An alignment of 8 suits all but long double and vectors, which need 16. */\n\
             static inline void *pool_alloc(mp_classes *pool, size_t size)\n\
             {{\n    \
                 return mp_classes_alloc(pool, size, 8);\n\
             }}\n\
             \n\
             static inline void pool_free(mp_classes *pool, void *block, size_t size)\n\
             {{\n    \
                 mp_classes_free(pool, block, size, 8);\n\
             }}\n"
        );
        if huge {
            code.push_str(&self.c_huge());
        }
        code
    }

    /// Returns the C code for the parent that packs chunks onto huge pages.
    fn c_chunks(&self) -> &'static str {
        if self.has_threads {
            "mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = pages, .sharing = MP_LOCKED))"
        } else {
            "mp_linear_create(MP_OPTIONS(mp_pool_options, .parent = pages))"
        }
    }

    fn c_huge(&self) -> String {
        let (largest, chunks) = (self.largest(), self.c_chunks());
        let options = self.c_options(Some("&chunks->allocator"));
        format!(
            "\n\
             /* The same on huge pages. It is for sizes up to {largest}: larger ones go to malloc. */\n\
             static inline mp_classes *make_pool_on_huge_pages(void)\n\
             {{\n    \
                 mp_allocator *pages = mp_tuned_pages_create(MP_OPTIONS(mp_pages_options, .huge = MP_HUGE_PREFERRED));\n    \
                 mp_linear *chunks = pages ? {chunks} : NULL;\n    \
                 return chunks ? mp_classes_create(MP_OPTIONS(mp_classes_options, {options})) : NULL;\n\
             }}\n"
        )
    }

    fn cpp(&self, huge: bool) -> String {
        let (about, sizes) = (self.about(), self.sizes());
        let sharing = if self.has_threads { "  options.sharing = MP_CACHED;\n" } else { "" };
        let mut code = format!(
            "// c++ -std=c++17 program.cpp $(pkg-config --cflags --libs millpond)\n\
             #include <cstddef>\n\
             #include <iterator>\n\
             #include <millpond.hpp>\n\
             \n\
             // {about}\n\
             inline constexpr std::size_t SIZES[] = {{{sizes}}};\n\
             \n\
             // How to make a pool of these: millpond::resource<millpond::classes> pool(advised());\n\
             // It is a std::pmr::memory_resource: std::pmr::vector<int> values(&pool);\n\
             inline millpond::classes::options advised() {{\n  \
               millpond::classes::options options;\n  \
               options.sizes = SIZES;\n  \
               options.size_count = std::size(SIZES);\n\
             {sharing}  \
               return options;\n\
             }}\n"
        );
        if huge {
            let chunks_sharing = if self.has_threads { "  options.sharing = MP_LOCKED;\n" } else { "" };
            code.push_str(&format!(
                "\n\
                 // What packs chunks onto huge pages: options.parent = &chunks->allocator; it must outlive the pool.\n\
                 inline mp_linear* make_chunks() {{\n  \
                   mp_pages_options huge{{}};\n  \
                   huge.struct_size = sizeof huge;\n  \
                   huge.huge = MP_HUGE_PREFERRED;\n  \
                   mp_pool_options options{{}};\n  \
                   options.struct_size = sizeof options;\n  \
                   options.parent = mp_tuned_pages_create(&huge);\n\
                 {chunks_sharing}  \
                   return options.parent != nullptr ? mp_linear_create(&options) : nullptr;\n\
                 }}\n"
            ));
        }
        code
    }
}
