//! The result of a check in the XML of JUnit: a test for each limit.

use std::io::{self, Write};

use anyhow::Result;
use quick_xml::{Writer, events::BytesText};

use super::{
    check_text::{times, word},
    diff_text::range,
};
use crate::{
    budget::{Checked, Item, Outcome},
    trace,
};

/// Returns the report.
pub(crate) fn junit(checked: &Checked) -> Result<String> {
    let (tests, failures) =
        (checked.items.len().to_string(), checked.with(Outcome::Exceeded).count().to_string());
    let program = checked.runs.first().map_or("", |run| trace::last_part(&run.start.program));
    let name = format!("millpond check: {}", trace::printable(program));
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.get_mut().write_all(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n")?;
    let counts = [("tests", tests.as_str()), ("failures", failures.as_str()), ("errors", "0")];
    writer
        .create_element("testsuites")
        .with_attribute(("name", "millpond check"))
        .with_attributes(counts)
        .write_inner_content(|writer| {
            writer
                .create_element("testsuite")
                .with_attribute(("name", name.as_str()))
                .with_attributes(counts)
                .with_attributes([("skipped", "0"), ("time", "0")])
                .write_inner_content(|writer| {
                    checked.items.iter().try_for_each(|item| test(writer, item))?;
                    let times = times(checked);
                    writer.create_element("system-out").write_text_content(BytesText::new(&times))?;
                    Ok(())
                })?;
            Ok(())
        })?;
    writer.get_mut().write_all(b"\n")?;
    Ok(String::from_utf8(writer.into_inner())?)
}

/// Writes the test of a limit. One that some runs keep has passed, and says so.
fn test(writer: &mut Writer<Vec<u8>>, item: &Item) -> io::Result<()> {
    let element = writer
        .create_element("testcase")
        .with_attribute(("name", item.figure.name()))
        .with_attribute(("classname", item.about.as_str()))
        .with_attribute(("time", "0"));
    let found = range(item.found, |number| number.to_string());
    let text = format!("{found}, at most {}", item.limit);
    match item.outcome {
        Outcome::Kept => element.write_empty()?,
        Outcome::Unclear => element.write_inner_content(|writer| {
            let text = format!("{}: {text}", word(item));
            writer.create_element("system-out").write_text_content(BytesText::new(&text))?;
            Ok(())
        })?,
        Outcome::Exceeded => element.write_inner_content(|writer| {
            writer
                .create_element("failure")
                .with_attribute(("message", word(item).as_str()))
                .with_attribute(("type", item.figure.key()))
                .write_text_content(BytesText::new(&text))?;
            Ok(())
        })?,
    };
    Ok(())
}
