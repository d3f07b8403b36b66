//! Tests of the command line and its help.

mod documents;

use clap::CommandFactory;

use super::*;

#[test]
fn the_help_of_every_subcommand_has_an_example_that_parses() {
    fn walk(command: &clap::Command, path: &str) {
        for subcommand in command.get_subcommands().filter(|command| command.get_name() != "help") {
            let path = format!("{path} {}", subcommand.get_name());
            let help = subcommand.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  ")).collect();
            assert!(!examples.is_empty(), "`{path}` has no example");
            for line in examples {
                let line = line.trim_start().trim_start_matches("RUN ");
                // Two blanks separate the explanation; `|` and `>` are for the shell.
                let line = line.split("  ").next().unwrap_or_default();
                let words = line.split(' ').take_while(|word| !["|", ">"].contains(word)).map(OsString::from);
                let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
                if words.first().is_some_and(|word| word == "portcullis") {
                    let error = Cli::of(&words).err().filter(clap::Error::use_stderr);
                    assert!(error.is_none(), "`{path}` shows `{line}`: {error:?}");
                }
            }
            walk(subcommand, &path);
        }
    }
    walk(&Cli::command(), "portcullis");
}

/// clap wraps a paragraph at the terminal's width, and ruins lines that are broken already or aligned.
#[test]
fn the_help_of_every_subcommand_fits_a_terminal_of_80_columns() {
    fn walk(command: &clap::Command, path: &str) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in help.split("\n\n") {
            for line in paragraph.lines().filter(|_| paragraph.contains('\n')) {
                assert!(
                    line.len() <= 80,
                    "`{path}` has a broken paragraph, or a line that is too long: {line}"
                );
                assert!(
                    line.starts_with("  ") || line.ends_with(':'),
                    "`{path}` has a broken paragraph: {line}"
                );
            }
        }
        command.get_subcommands().for_each(|command| walk(command, command.get_name()));
    }
    walk(&Cli::command(), "portcullis");
}

#[test]
fn tenants_are_named_by_arguments_and_by_the_deprecated_option() {
    let names = |line: &str| match Cli::try_parse_from(line.split(' ')).ok()?.command {
        Command::Verify(verify) => Some(verify.only.names()),
        Command::Migrate(migrate) => Some(migrate.only.names()),
        Command::Repair(repair) => Some(repair.tenant),
        _ => None,
    };
    let words = |words: [&str; 2]| Some(words.map(str::to_owned).to_vec());
    for command in ["verify", "migrate", "repair"] {
        assert_eq!(names(&format!("portcullis {command} acme -- -odd")), words(["acme", "-odd"]));
    }
    assert_eq!(names("portcullis verify --tenant acme --tenant b"), words(["acme", "b"]));
    assert_eq!(names("portcullis migrate --all acme"), None);
}

#[test]
fn an_init_needs_no_dashes_before_its_program() {
    for line in ["portcullis init -g nginx -t -- x", "portcullis init -g -- nginx -t -- x"] {
        let Ok(Cli { command: Command::Init(init), .. }) = Cli::try_parse_from(line.split(' ')) else {
            unreachable!("{line}")
        };
        assert!(init.signal_group && init.argv == ["nginx", "-t", "--", "x"], "{:?}", init.argv);
    }
    let error = Cli::of(&["portcullis", "nginx"].map(OsString::from)).err().map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.contains("portcullis init -- PROGRAM")));
}

#[test]
fn a_command_line_without_options_is_parsed_as_clap_parses_it() {
    for (line, is_simple) in [
        ("portcullis run --", true),
        ("portcullis run -- gunicorn --version -- x", true),
        ("portcullis run --no-config -- true", true),
        ("portcullis init -- sh -c true", true),
        ("portcullis run --no-config --", false),
        ("portcullis init --", false),
        ("portcullis run", false),
        ("portcullis -- run", false),
        ("portcullis init -g -- true", false),
        ("portcullis --role web run -- true", false),
        ("portcullis", false),
        ("--", false),
    ] {
        let words: Vec<_> = line.split(' ').map(OsString::from).collect();
        let parsed = Cli::without_options(&words).map(|cli| format!("{cli:?}"));
        assert_eq!(parsed.is_some(), is_simple, "{line}");
        if is_simple {
            let by_clap = Cli::try_parse_from(&words).map(|cli| format!("{cli:?}"));
            assert_eq!(parsed, by_clap.ok(), "{line}");
        }
    }
}
