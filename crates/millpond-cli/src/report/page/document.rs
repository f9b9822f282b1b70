//! The HTML around the data: a template, a style sheet and a script, which are files of their own in `assets/report`.
//!
//! The policy of the page allows this script and this style sheet by their hashes, and nothing else: no network, no other
//! script, whatever is in the data.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

const TEMPLATE: &str = include_str!("../../../assets/report/page.html");
const STYLE: &str = include_str!("../../../assets/report/style.css");
/// The parts of the script, in the order of their use of each other.
const SCRIPT: &[&str] = &[
    include_str!("../../../assets/report/format.js"),
    include_str!("../../../assets/report/dom.js"),
    include_str!("../../../assets/report/data.js"),
    include_str!("../../../assets/report/timeline.js"),
    include_str!("../../../assets/report/verdict.js"),
    include_str!("../../../assets/report/advice.js"),
    include_str!("../../../assets/report/flame.js"),
    include_str!("../../../assets/report/sites.js"),
    include_str!("../../../assets/report/heat.js"),
    include_str!("../../../assets/report/memory.js"),
    include_str!("../../../assets/report/maps.js"),
    include_str!("../../../assets/report/sizes.js"),
    include_str!("../../../assets/report/chains.js"),
    include_str!("../../../assets/report/threads.js"),
    include_str!("../../../assets/report/downloads.js"),
    include_str!("../../../assets/report/main.js"),
];
/// Where the data are inserted into the template.
const DATA: &str = "{{data}}";

/// A page without its data: what comes before them, and after them.
pub(super) struct Document {
    before: String,
    after: String,
}

impl Document {
    /// Creates the page of a program with this command line.
    pub(super) fn new(command_line: &str) -> Self {
        let script = SCRIPT.concat();
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'",
            hash(&script),
            hash(STYLE)
        );
        let title = text(command_line);
        let fill = |part: &str| {
            let parts = [("{{policy}}", &*policy), ("{{style}}", STYLE), ("{{script}}", &script)];
            let filled =
                parts.into_iter().fold(part.to_owned(), |part, (name, with)| part.replace(name, with));
            // Last, because its text is not known.
            filled.replace("{{title}}", &title)
        };
        let (before, after) = TEMPLATE.split_once(DATA).unwrap_or((TEMPLATE, ""));
        Self { before: fill(before), after: fill(after) }
    }

    /// Returns the bytes of the page without its data.
    pub(super) fn length(&self) -> usize {
        self.before.len() + self.after.len()
    }

    /// Returns the page with its data, which [`escaped`] has returned.
    pub(super) fn with(&self, json: &str) -> String {
        [&self.before, json, &self.after].concat()
    }
}

/// Returns the source expression of a policy that allows exactly this text.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}

/// Escapes JSON so that it cannot end the element that contains it. Outside of strings, JSON has none of these characters.
pub(super) fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// Escapes text for HTML.
fn text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_element_of_the_data() {
        let json = escaped(&serde_json::json!(["</script><!--", "&lt;{{data}}"]).to_string());
        assert!(!json.contains(['<', '>', '&']), "{json}");
        let parsed: Vec<String> = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, ["</script><!--", "&lt;{{data}}"]);
    }

    #[test]
    fn the_title_is_text() {
        let page = Document::new("<b>{{style}}\"&").with("[]");
        assert!(page.contains("<title>&lt;b&gt;{{style}}&quot;&amp;"), "{}", &page[..900]);
        assert!(!page.contains(DATA));
    }
}
