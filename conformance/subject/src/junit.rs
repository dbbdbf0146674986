//! The report as `JUnit` XML, which the CI of most projects reads.

use std::{io, time::Duration};

use quick_xml::{Writer, events::BytesText};

use crate::{
    claims,
    report::{Report, Reported},
};
use verdict::Verdict;

impl Report {
    /// Returns the report with a test case for each claim. A case fails if its claim does not hold. A report that is not
    /// conclusive has an error, so that it does not pass.
    ///
    /// # Panics
    /// Never: a string has room.
    pub fn junit(&self, time: Duration) -> String {
        let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
        self.write(&mut writer, time).expect("a string has room");
        String::from_utf8(writer.into_inner()).expect("all of it is text") + "\n"
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>, time: Duration) -> io::Result<()> {
        let error = match self.verdict() {
            Verdict::Inconclusive { why } if self.findings.is_empty() => Some(why),
            _ => None,
        };
        let errors = usize::from(error.is_some());
        let tests = (claims::ALL.len() + errors).to_string();
        let (errors, failures) = (errors.to_string(), self.findings.len().to_string());
        let seconds = format!("{:.3}", time.as_secs_f64());
        let attributes = [
            ("name", self.name.as_str()),
            ("tests", &tests),
            ("failures", &failures),
            ("errors", &errors),
            ("time", &seconds),
        ];
        writer.create_element("testsuite").with_attributes(attributes).write_inner_content(
            |writer| {
                for claim in claims::ALL {
                    let found = self.findings.iter().filter(|it| it.claim == claim.text);
                    case(writer, claim.text, &found.collect::<Vec<_>>())?;
                }
                if let Some(why) = error {
                    let attributes = [("classname", "paxos"), ("name", "verdict")];
                    let case = writer.create_element("testcase").with_attributes(attributes);
                    case.write_inner_content(|writer| {
                        let error = writer.create_element("error");
                        error.with_attribute(("message", why.as_str())).write_empty()?;
                        Ok(())
                    })?;
                }
                Ok(())
            },
        )?;
        Ok(())
    }
}

fn case(writer: &mut Writer<Vec<u8>>, name: &str, found: &[&Reported]) -> io::Result<()> {
    let attributes = [("classname", "paxos"), ("name", name)];
    let case = writer.create_element("testcase").with_attributes(attributes);
    if found.is_empty() {
        case.write_empty()?;
        return Ok(());
    }
    case.write_inner_content(|writer| {
        for Reported { class, facts, steps, .. } in found {
            let class = class.to_string();
            let attributes = [("type", class.as_str()), ("message", facts)];
            let failure = writer.create_element("failure").with_attributes(attributes);
            failure.write_text_content(BytesText::new(&steps.to_string()))?;
        }
        Ok(())
    })?;
    Ok(())
}
