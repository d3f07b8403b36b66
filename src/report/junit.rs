//! Results as JUnit XML, which Jenkins, GitLab and others read.

use super::test_suite::{TestCase, TestResult, TestSuite};

pub(crate) fn render(TestSuite { name, cases }: &TestSuite<'_>) -> String {
    let number = |of: fn(&TestResult) -> bool| cases.iter().filter(|case| of(&case.result)).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        xml(name),
        cases.len(),
        number(|result| matches!(result, TestResult::Failed { .. })),
        number(|result| matches!(result, TestResult::Error(_))),
        number(|result| matches!(result, TestResult::Skipped(_))),
    );
    for TestCase { class, name, result } in cases {
        let inside = match result {
            TestResult::Passed(message) if message.is_empty() => String::new(),
            TestResult::Passed(message) => format!("<system-out>{}</system-out>", xml(message)),
            TestResult::Failed { message, remedy } => {
                format!("<failure message=\"{}\">{}</failure>", xml(message), xml(remedy))
            }
            TestResult::Error(message) => format!("<error message=\"{}\"/>", xml(message)),
            TestResult::Skipped(message) => format!("<skipped message=\"{}\"/>", xml(message)),
        };
        text +=
            &format!("<testcase classname=\"{}\" name=\"{}\">{inside}</testcase>\n", xml(class), xml(name));
    }
    text + "</testsuite>\n</testsuites>\n"
}

/// Escapes text for an XML element or attribute. XML cannot represent most control characters.
fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\n' => escaped += "&#10;",
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
