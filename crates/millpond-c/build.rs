//! Sets the name of the shared library for the loader, and turns the header into assertions, so that a test build of
//! this crate compiles only if header and code agree.
//!
//! The parser relies on the style of the header: declarations end with `;`, arguments have names, and nothing is
//! nested.

use std::{collections::BTreeSet, env, fs, path::Path};

fn main() {
    println!("cargo::rerun-if-changed=include/millpond.h");
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libmillpond.so.1");
    }
    let header = fs::read_to_string("include/millpond.h").expect("the header can be read");
    let out = env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let (assertions, functions) = read(&header);
    let list: Vec<String> = functions.iter().map(|name| format!("{name:?},\n")).collect();
    let functions = format!("const FUNCTIONS: &[&str] = &[\n{}];\n", list.concat());
    fs::write(Path::new(&out).join("header.rs"), assertions).expect("OUT_DIR can be written to");
    fs::write(Path::new(&out).join("functions.rs"), functions).expect("OUT_DIR can be written to");
}

/// Returns assertions about everything that the header declares, and the names of its functions.
fn read(header: &str) -> (String, BTreeSet<String>) {
    let mut assertions = String::from("use core::ffi::{c_char, c_void};\n");
    let mut functions = BTreeSet::new();
    let text = without_comments(header);
    for line in text.lines().filter(|line| line.starts_with('#')) {
        assertions += &constant(line).unwrap_or_default();
    }
    let code: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let code = code.join(" ").replace("extern \"C\" {", "");
    for declaration in declarations(&code) {
        let words: Vec<&str> = declaration.split_whitespace().collect();
        let declaration = words.join(" ");
        if let Some(name) = function(&declaration, &mut assertions) {
            assert!(functions.insert(name.clone()), "{name} is declared twice");
        }
    }
    (assertions, functions)
}

fn without_comments(header: &str) -> String {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("/*") {
        text += before;
        rest = after.split_once("*/").expect("comments end").1;
    }
    text + rest
}

/// Returns the declarations, each up to its semicolon; those of members stay in their structure.
fn declarations(code: &str) -> Vec<String> {
    let (mut found, mut current, mut depth) = (Vec::new(), String::new(), 0);
    for letter in code.chars() {
        match letter {
            // The rest is the end of `extern "C"`.
            '}' if depth == 0 => continue,
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                found.push(std::mem::take(&mut current));
                continue;
            }
            _ => {}
        }
        current.push(letter);
    }
    assert!(current.trim().is_empty(), "the header ends with a half declaration: {current}");
    found
}

/// Returns the assertion for a `#define` of a number.
fn constant(line: &str) -> Option<String> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "#define").skip(1);
    let (name, value) = (words.next()?, words.next()?);
    if name.contains('(') {
        return None;
    }
    let value = if value == "SIZE_MAX" { "usize::MAX" } else { value };
    Some(format!("const _: () = assert!({name} as u128 == {value} as u128, \"{name}\");\n"))
}

/// Adds the assertion for a declaration; returns the name if it is a function.
fn function(declaration: &str, assertions: &mut String) -> Option<String> {
    let (typedef, plain) = match declaration.strip_prefix("typedef ") {
        Some(rest) => (true, rest),
        None => (false, declaration),
    };
    if let Some(structure) = plain.strip_prefix("struct ") {
        if let Some((name, members)) = structure.split_once(" {") {
            *assertions += &mirror(name, members.rsplit_once('}').expect("structures end").0);
        }
        return None;
    }
    let Some((head, arguments)) = plain.split_once('(') else {
        let (of, name) = plain.rsplit_once(' ').expect("a type has a name");
        *assertions += &format!("const _: fn({}) -> {name} = |same| same;\n", rust(of));
        return None;
    };
    let (name, returned) = named(head);
    let arguments = arguments.strip_suffix(')').expect("arguments end");
    let types: Vec<String> = match arguments {
        "void" => Vec::new(),
        _ => arguments.split(',').map(|argument| rust(&named(argument.trim()).1)).collect(),
    };
    let returned = if returned == "void" { String::new() } else { format!(" -> {}", rust(&returned)) };
    let signature = format!("unsafe extern \"C\" fn({}){returned}", types.join(", "));
    if typedef {
        *assertions += &format!("const _: fn({name}) -> {signature} = |same| same;\n");
        return None;
    }
    *assertions += &format!("const _: {signature} = crate::{name};\n");
    Some(name)
}

/// Adds an assertion that a structure has exactly these members, in this order, with these types.
fn mirror(name: &str, members: &str) -> String {
    let members: Vec<(String, String)> =
        members.split(';').map(str::trim).filter(|member| !member.is_empty()).map(named).collect();
    let fields: String = members.iter().map(|(name, of)| format!("{name}: {}, ", rust(of))).collect();
    let mut text = format!("const _: () = {{ #[allow(dead_code)] #[repr(C)] struct Mirror {{ {fields} }}\n");
    text += &format!("assert!(size_of::<Mirror>() == size_of::<{name}>(), \"{name}\");\n");
    for (member, of) in &members {
        let same =
            format!("core::mem::offset_of!(Mirror, {member}) == core::mem::offset_of!({name}, {member})");
        text += &format!("assert!({same}, \"{name}.{member}\");\n");
        text += &format!("let _: fn({name}) -> {} = |it| it.{member};\n", rust(of));
    }
    text + "};\n"
}

/// Returns a declared name and its type; the type of an array ends with its length.
fn named(declared: &str) -> (String, String) {
    if let Some((declared, length)) = declared.strip_suffix(']').and_then(|declared| declared.split_once('['))
    {
        let (name, of) = named(declared);
        return (name, format!("{of}[{length}]"));
    }
    let at = declared.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_').map_or(0, |at| at + 1);
    (declared[at..].to_owned(), declared[..at].trim().to_owned())
}

/// Converts a C type to a Rust type.
fn rust(of: &str) -> String {
    if let Some((of, length)) = of.strip_suffix(']').and_then(|of| of.split_once('[')) {
        return format!("[{}; {length}]", rust(of));
    }
    if let Some(target) = of.strip_suffix('*') {
        let target = target.trim();
        if target.ends_with("_fn") {
            return format!("Option<{target}>");
        }
        // The target of a pointer is constant if `const` precedes it or, if it is a pointer itself, follows it.
        let behind = target.strip_suffix("const").filter(|target| target.ends_with('*'));
        return match behind.or_else(|| target.strip_prefix("const ")) {
            Some(target) => format!("*const {}", rust(target)),
            None => format!("*mut {}", rust(target)),
        };
    }
    let simple = match of {
        "void" => "c_void",
        "char" => "c_char",
        "bool" => "bool",
        "size_t" => "usize",
        "uint32_t" => "u32",
        "int32_t" => "i32",
        "uint64_t" => "u64",
        _ if of.starts_with("mp_") => of,
        _ => panic!("a type that the build script does not know: {of}"),
    };
    simple.to_owned()
}
