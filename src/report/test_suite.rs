//! The results of `verify` and `doctor` as a suite of test cases. A format for CI servers renders this.

pub(crate) struct TestSuite<'a> {
    pub(crate) name: &'static str,
    pub(crate) cases: Vec<TestCase<'a>>,
}

pub(crate) struct TestCase<'a> {
    pub(crate) class: &'a str,
    pub(crate) name: &'a str,
    pub(crate) result: TestResult,
}

pub(crate) enum TestResult {
    Passed(String),
    Failed {
        message: String,
        remedy: String,
    },
    /// The result is unknown.
    Error(String),
    Skipped(String),
}
