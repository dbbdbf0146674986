//! Reports as `JUnit` XML, which the CI of most projects reads.

use std::{io, time::Duration};

use quick_xml::{Writer, events::BytesText};

use crate::Verdict;

/// A test case of a report: something that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// The name of the case.
    pub name: String,
    /// The failures. A case without one passes.
    pub failures: Vec<Failure>,
    /// The reason for which there is no result, if there is none. Such a case does not pass.
    pub error: Option<String>,
}

/// A failure of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The kind of the failure, in a word.
    pub kind: String,
    /// The failure in a sentence.
    pub message: String,
    /// All that is known of it.
    pub details: String,
}

impl Case {
    /// Returns the case of a check with a verdict. `details` are those of a violation.
    pub fn new(name: impl Into<String>, verdict: &Verdict, details: impl Into<String>) -> Self {
        let (kind, message) = (verdict.to_string(), verdict.to_string());
        let (failures, error) = match verdict {
            Verdict::Holds => (Vec::new(), None),
            Verdict::Violated => (vec![Failure { kind, message, details: details.into() }], None),
            Verdict::Inconclusive { why } => (Vec::new(), Some(why.clone())),
        };
        Self { name: name.into(), failures, error }
    }
}

/// Returns a report with the cases of a suite, which took `time`.
///
/// # Panics
/// Never: a string has room.
pub fn suite(name: &str, cases: &[Case], time: Duration) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    write(&mut writer, name, cases, time).expect("a string has room");
    String::from_utf8(writer.into_inner()).expect("all of it is text") + "\n"
}

fn write(
    writer: &mut Writer<Vec<u8>>,
    name: &str,
    cases: &[Case],
    time: Duration,
) -> io::Result<()> {
    let count = |is: fn(&&Case) -> bool| cases.iter().filter(is).count().to_string();
    let attributes = [
        ("name", name),
        ("tests", &cases.len().to_string()),
        ("failures", &count(|case| !case.failures.is_empty())),
        ("errors", &count(|case| case.error.is_some())),
        ("time", &format!("{:.3}", time.as_secs_f64())),
    ];
    let suite = writer.create_element("testsuite").with_attributes(attributes);
    suite.write_inner_content(|writer| {
        cases.iter().try_for_each(|case| write_case(writer, name, case))
    })?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, suite: &str, case: &Case) -> io::Result<()> {
    let attributes = [("classname", suite), ("name", &case.name)];
    let element = writer.create_element("testcase").with_attributes(attributes);
    if case.failures.is_empty() && case.error.is_none() {
        element.write_empty()?;
        return Ok(());
    }
    element.write_inner_content(|writer| {
        for Failure { kind, message, details } in &case.failures {
            let attributes = [("type", kind.as_str()), ("message", message)];
            let failure = writer.create_element("failure").with_attributes(attributes);
            failure.write_text_content(BytesText::new(details))?;
        }
        if let Some(why) = &case.error {
            let error = writer.create_element("error");
            error.with_attribute(("message", why.as_str())).write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_counts_what_does_not_pass() {
        let why = "a <gap>".to_owned();
        let cases = [
            Case::new("one", &Verdict::Holds, ""),
            Case::new("two", &Verdict::Violated, "a & b"),
            Case::new("three", &Verdict::Inconclusive { why }, ""),
        ];
        let xml = suite("runs", &cases, Duration::from_millis(1_500));
        let expected = r#"<testsuite name="runs" tests="3" failures="1" errors="1" time="1.500">
  <testcase classname="runs" name="one"/>
  <testcase classname="runs" name="two">
    <failure type="violated" message="violated">a &amp; b</failure>
  </testcase>
  <testcase classname="runs" name="three">
    <error message="a &lt;gap&gt;"/>
  </testcase>
</testsuite>
"#;
        assert_eq!(xml, expected);
    }
}
