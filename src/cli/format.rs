//! The option for a command's output format; each command lists the formats that it has.

use clap::{
    Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser},
};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    #[default]
    Text,
    /// One JSON value on standard output
    Json,
    /// JUnit XML, for CI servers
    Junit,
    /// Annotations of a GitHub workflow
    Github,
}

/// The option of a command that prints text or JSON.
#[derive(Debug, Args)]
pub(crate) struct TextOrJson {
    /// The format of the output
    #[arg(long, value_parser = only(&[Format::Text, Format::Json]), default_value = "text", value_name = "FORMAT")]
    format: Format,
    /// The same as --format json
    #[arg(long, hide = true)]
    json: bool,
}

impl TextOrJson {
    pub(crate) fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

/// Accepts some of the formats, and lists them in the help.
pub(super) fn only(formats: &'static [Format]) -> impl TypedValueParser<Value = Format> {
    let values = formats.iter().filter_map(ValueEnum::to_possible_value);
    PossibleValuesParser::new(values).map(|name| Format::from_str(&name, false).unwrap_or_default())
}
