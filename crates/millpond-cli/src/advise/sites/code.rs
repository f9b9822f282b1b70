//! Code to paste for a site: templates in files, which are valid code for a site called `site`, for blocks of 4,321
//! bytes.

use super::{Kind, SiteAdvice};
use crate::advise::Language;

/// The name, the number and the list of sizes in the templates.
const NAME: &str = "site";
const NUMBER: &str = "4321";
const LIST: &str = "24, 4321";

/// The templates of a kind of advice, in Rust, C and C++.
macro_rules! templates {
    ($kind:literal) => {
        [
            include_str!(concat!("templates/", $kind, ".rs.txt")),
            include_str!(concat!("templates/", $kind, ".c")),
            include_str!(concat!("templates/", $kind, ".cpp")),
        ]
    };
}

impl SiteAdvice {
    /// Returns code to paste; `None` if there is nothing to do, or nothing that code does.
    pub(crate) fn code(&self, language: Language) -> Option<String> {
        let function = self.frames.first().map_or("", |frame| frame.name.as_str());
        code(&self.kind, &identifier(function), language)
    }

    /// Returns whether there is code to paste.
    pub(crate) fn has_code(&self) -> bool {
        template(&self.kind).is_some()
    }
}

fn template(kind: &Kind) -> Option<[&'static str; 3]> {
    Some(match kind {
        Kind::OneSize { .. } => templates!("one_size"),
        Kind::Classes { .. } => templates!("classes"),
        Kind::ThreadCache { .. } => templates!("thread_cache"),
        Kind::RemoteFree { .. } => templates!("remote_free"),
        Kind::Arena => templates!("arena"),
        Kind::Frame { .. } => templates!("frame"),
        Kind::Reuse { .. } => templates!("reuse"),
        Kind::Capacity { .. } => templates!("capacity"),
        Kind::Growth | Kind::Nothing(_) => return None,
    })
}

fn code(kind: &Kind, name: &str, language: Language) -> Option<String> {
    let [rust, c, cpp] = template(kind)?;
    let template = match language {
        Language::Rust => rust,
        Language::C => c,
        Language::Cpp => cpp,
    };
    let sizes = kind.sizes();
    let list = sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    let number = kind.bytes().unwrap_or_else(|| sizes.last().map_or(0, |&size| size as u64));
    let code = template.replace(LIST, &list).replace(NUMBER, &number.to_string());
    Some(code.replace(NAME, name).replace(&NAME.to_uppercase(), &name.to_uppercase()))
}

/// Makes a name for the code of a function, from the last part of its path without arguments.
fn identifier(function: &str) -> String {
    let path = function.split(['(', '<']).find(|part| !part.is_empty()).unwrap_or_default();
    let own = path.trim_end_matches(':').rsplit("::").next().unwrap_or_default();
    let kept = own.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' });
    let name = kept.collect::<String>().trim_matches('_').to_lowercase();
    if name.starts_with(|first: char| first.is_ascii_alphabetic()) { name } else { "the".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_identifiers() {
        let names = [
            "parse",
            "deep::Inner<std::allocator<int> >::here(int)",
            "app+0x12f0",
            "operator+",
            "",
            "Tree::grow",
            "<app::Tree as core::clone::Clone>::clone",
        ];
        let expected = ["parse", "inner", "app_0x12f0", "operator", "the", "grow", "clone"];
        assert_eq!(names.map(identifier), expected);
    }

    #[test]
    fn nothing_of_the_template_is_left() {
        let kinds = [
            Kind::OneSize { bytes: 64 },
            Kind::Classes { sizes: vec![16, 32] },
            Kind::ThreadCache { sizes: vec![16] },
            Kind::RemoteFree { bytes: 64 },
            Kind::Arena,
            Kind::Frame { bytes: 5000 },
            Kind::Reuse { bytes: 100 },
            Kind::Capacity { bytes: 100 },
        ];
        for kind in kinds {
            for language in [Language::Rust, Language::C, Language::Cpp] {
                let code = code(&kind, "parse", language).unwrap();
                let left = ["site", "SITE", NUMBER].into_iter().find(|part| code.contains(part));
                assert_eq!(left, None, "{code}");
            }
        }
        assert_eq!(code(&Kind::Growth, "parse", Language::C), None);
    }
}
