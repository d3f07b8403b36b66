//! The style of the output: format, level, colour, and whether GitHub Actions reads it.

use crate::{
    cli::{Colour, OutputOptions},
    config::{self, environment::Environment},
    failure::Failure,
    logging::{LogFormat, LogLevel},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    pub(crate) layout: Layout,
    pub(crate) colour: bool,
    pub(crate) level: LogLevel,
    /// Progress is a line that is redrawn.
    pub(crate) bar: bool,
    /// The output may contain GitHub's workflow commands.
    pub(crate) github: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Each line begins with the elapsed time.
    Pretty,
    Plain,
    Json,
}

impl Style {
    /// Flags override the environment, which overrides the file; `log` is None before the file is read.
    pub(crate) fn new(
        output_options: &OutputOptions,
        env: &Environment,
        log: Option<&config::Log>,
        terminal: bool,
    ) -> Result<Self, Failure> {
        let format =
            output_options.log_format.map_or_else(|| of_environment(env), |format| Ok(Some(format)))?;
        let format = format.or(log.map(|log| log.format)).unwrap_or(LogFormat::Auto);
        let level = output_options.log_level.or(log.map(|log| log.level)).unwrap_or(LogLevel::Info);
        let layout = match format {
            LogFormat::Pretty => Layout::Pretty,
            LogFormat::Json => Layout::Json,
            LogFormat::Auto if terminal => Layout::Pretty,
            LogFormat::Auto | LogFormat::Plain => Layout::Plain,
        };
        let text = layout != Layout::Json;
        let github = text && env.flag("GITHUB_ACTIONS").unwrap_or(false);
        let bar = terminal && layout == Layout::Pretty && !github && env.get("TERM") != Some("dumb");
        Ok(Self { layout, colour: text && colour(output_options.color, env, terminal), level, bar, github })
    }
}

/// The flag, then `NO_COLOR`, then `FORCE_COLOR`, then whether it is a terminal (no-color.org, force-color.org).
pub(crate) fn colour(flag: Colour, env: &Environment, terminal: bool) -> bool {
    match flag {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto if env.get("NO_COLOR").is_some() => false,
        Colour::Auto if env.get("FORCE_COLOR").is_some() => true,
        Colour::Auto => terminal,
    }
}

/// The format for failures before the file is read.
fn of_environment(env: &Environment) -> Result<Option<LogFormat>, Failure> {
    let Some(word) = env.get("PORTCULLIS_LOG_FORMAT") else {
        return Ok(None);
    };
    <LogFormat as clap::ValueEnum>::from_str(word, false).map(Some).map_err(|_| Failure::Usage {
        message: format!("PORTCULLIS_LOG_FORMAT is `{word}`, not one of auto, pretty, plain, json"),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn colours_follow_the_flag_then_no_color_then_force_color_then_the_terminal() {
        let none = &Environment::default();
        let (no, force) = (Environment::from([("NO_COLOR", "1")]), Environment::from([("FORCE_COLOR", "1")]));
        let both = Environment::from([("NO_COLOR", "1"), ("FORCE_COLOR", "1")]);
        for (flag, env, terminal, expected) in [
            (Colour::Auto, none, true, true),
            (Colour::Auto, none, false, false),
            (Colour::Auto, &no, true, false),
            (Colour::Auto, &force, false, true),
            (Colour::Auto, &both, true, false),
            (Colour::Always, &no, false, true),
            (Colour::Never, &force, true, false),
        ] {
            assert_eq!(colour(flag, env, terminal), expected, "{flag:?} {env:?} {terminal}");
        }
    }

    #[test]
    fn auto_is_pretty_on_a_terminal_and_plain_elsewhere() {
        let layout = |terminal| {
            Style::new(&OutputOptions::default(), &Environment::default(), None, terminal).unwrap().layout
        };
        assert_eq!((layout(true), layout(false)), (Layout::Pretty, Layout::Plain));
    }

    #[test]
    fn json_is_never_coloured_nor_annotated() {
        let output_options =
            OutputOptions { log_format: Some(LogFormat::Json), color: Colour::Always, log_level: None };
        let style = Style::new(&output_options, &Environment::from([("GITHUB_ACTIONS", "true")]), None, true)
            .unwrap();
        assert!(!style.colour && !style.github);
    }
}
