//! Results as JUnit XML, which Jenkins, GitLab and others read.

/// One test case.
pub(crate) struct Case<'a> {
    pub(crate) class: &'a str,
    pub(crate) name: &'a str,
    pub(crate) result: Result,
}

/// The result of a test case, with its message.
pub(crate) enum Result {
    Passed(String),
    /// The failure, and what to do.
    Failed(String, String),
    /// The result could not be determined.
    Error(String),
    Skipped(String),
}

/// One suite.
pub(crate) fn suite(name: &str, cases: &[Case<'_>]) -> String {
    let number = |of: fn(&Result) -> bool| cases.iter().filter(|case| of(&case.result)).count();
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\">\n",
        xml(name),
        cases.len(),
        number(|result| matches!(result, Result::Failed(..))),
        number(|result| matches!(result, Result::Error(_))),
        number(|result| matches!(result, Result::Skipped(_))),
    );
    for Case { class, name, result } in cases {
        let inside = match result {
            Result::Passed(message) if message.is_empty() => String::new(),
            Result::Passed(message) => format!("<system-out>{}</system-out>", xml(message)),
            Result::Failed(message, remedy) => {
                format!("<failure message=\"{}\">{}</failure>", xml(message), xml(remedy))
            }
            Result::Error(message) => format!("<error message=\"{}\"/>", xml(message)),
            Result::Skipped(message) => format!("<skipped message=\"{}\"/>", xml(message)),
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
