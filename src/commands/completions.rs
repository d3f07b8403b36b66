//! Completion scripts, generated from the command line's definition, with the names of the tenants.

use clap::CommandFactory;
use clap_complete::Shell;

use super::manual::text;
use crate::{cli::Cli, failure::Failure};

/// The tenants replace the files that the generated function suggests.
const BASH: &str = r#"
_portcullis_with_tenants() {
    _portcullis "$@"
    case "${COMP_WORDS[*]:1:2} " in
        verify\ *|migrate\ *|repair\ *|tenant\ show\ *|tenant\ delete\ *) ;;
        *) return ;;
    esac
    if [[ $2 != -* && $3 != --* ]]; then
        COMPREPLY=( $(compgen -W "$("$1" tenant list --names 2>/dev/null)" -- "$2") )
    fi
}
complete -F _portcullis_with_tenants portcullis
"#;

const ZSH: &str = r#"
_portcullis_tenants() {
    compadd -- ${(f)"$(portcullis tenant list --names 2>/dev/null)"}
}
"#;

const FISH: &str = r#"
complete -c portcullis -n "__fish_seen_subcommand_from verify migrate repair show delete" -f -a "(portcullis tenant list --names 2>/dev/null)"
"#;

pub(crate) fn script(shell: Shell) -> Result<String, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    let script = text(script)?;
    Ok(match shell {
        Shell::Bash => script + BASH,
        Shell::Fish => script + FISH,
        Shell::Zsh => with_tenants_for_zsh(&script),
        _ => script,
    })
}

/// The arguments that name an existing tenant are completed by a function of their own.
fn with_tenants_for_zsh(script: &str) -> String {
    let names_a_tenant = |line: &str| {
        ["'*::tenant", "':name -- The schema", "':name:"].iter().any(|start| line.starts_with(start))
    };
    let mut lines: Vec<String> = Vec::new();
    for line in script.lines() {
        lines.push(if names_a_tenant(line) {
            line.replace(":_default'", ":_portcullis_tenants'")
        } else {
            line.to_owned()
        });
        if lines.len() == 1 {
            lines.push(ZSH.to_owned());
        }
    }
    lines.join("\n") + "\n"
}
