//! Reads `[[step]]`: names, order, conditions. What each step does is read by `actions`.

use std::ops::Range;

use super::{
    Action, After, OnFailure, Scope, Step, When, actions,
    environment::Environment,
    fill::{Node, Value},
    problem::{Problem, Problems, nearest},
    table::Table,
    values,
};

/// A step as far as it could be read, with the places that checks across steps point at.
pub(super) struct Draft {
    pub(super) name: Option<String>,
    /// How messages call it.
    pub(super) called: String,
    pub(super) after: After,
    pub(super) after_span: Option<Range<usize>>,
    pub(super) when: When,
    pub(super) on_failure: OnFailure,
    pub(super) action: Option<Action>,
    /// The key of its kind.
    pub(super) kind_span: Range<usize>,
    /// Where it says that its program stays beside the server.
    pub(super) background: Option<Range<usize>>,
}

impl Draft {
    /// None if it could not be read whole.
    pub(super) fn into_step(self) -> Option<Step> {
        let Draft { name, after, when, on_failure, action, .. } = self;
        Some(Step { name: name?, after, when, on_failure, action: action? })
    }
}

pub(super) fn read(list: &[Node], env: &Environment, problems: &Problems) -> Vec<Draft> {
    let names: Vec<Option<&str>> = list.iter().map(name_of).collect();
    list.iter()
        .enumerate()
        .filter_map(|(at, node)| {
            let table = Table::of(node, "a `[[step]]`", problems)?;
            Some(read_one(table, &names, at, env))
        })
        .collect()
}

/// The name that others may refer to, before the step itself is read.
fn name_of(node: &Node) -> Option<&str> {
    let Value::Table(entries) = &node.value else {
        return None;
    };
    entries.iter().find(|entry| entry.key == "name").and_then(|entry| match &entry.node.value {
        Value::Text(text) if entry.node.filled_by.is_empty() => Some(text.as_str()),
        _ => None,
    })
}

fn read_one(mut table: Table<'_>, names: &[Option<&str>], at: usize, env: &Environment) -> Draft {
    let problems = table.problems;
    let name = table.require("name", step_name);
    if let (Some(first), Some(node)) =
        (names[..at].iter().position(|name| *name == names[at]), table.get("name"))
        && names[at].is_some_and(|name| !name.is_empty())
    {
        let message = format!("the name `{}` is taken by step {}", names[at].unwrap_or_default(), first + 1);
        table.report(Problem::error(node.span.clone(), message).help("give each step a name of its own"));
    }
    let after_node = table.get("after");
    let after = after_node.map_or(After::Above, |node| after(node, names, at, problems));
    let when = table.table("when", "`when`").map_or_else(When::default, |table| when(table, env));
    let words = [("block", OnFailure::Block), ("warn", OnFailure::Warn)];
    let on_failure_node = table.get("on_failure");
    let on_failure = table.read("on_failure", values::word(&words)).unwrap_or(OnFailure::Block);
    let called = name.as_ref().map_or_else(|| format!("step {}", at + 1), |name| format!("step `{name}`"));
    let span = table.span.clone();
    let found = actions::read(&mut table, env);
    let unknown = table.finish();
    if found.count == 0 && unknown == 0 {
        let message = format!("{called} does nothing");
        problems.report(
            Problem::error(span.clone(), message)
                .help(format!("give it one of {}", actions::KINDS.join(", "))),
        );
    }
    if let (Some(Action::Verify(_)), OnFailure::Warn, Some(node)) =
        (&found.action, on_failure, on_failure_node)
    {
        let message = "a verify step that only warns would open the gate";
        problems.report(Problem::error(node.span.clone(), message).help("remove `on_failure`"));
    }
    Draft {
        name,
        called,
        after,
        after_span: after_node.map(|node| node.span.clone()),
        when,
        on_failure,
        action: found.action,
        kind_span: found.place.unwrap_or(span),
        background: found.background,
    }
}

/// A name stands in lines of output: one line, and written in the file, so that it may be quoted anywhere.
fn step_name(node: &Node) -> Result<String, Problem> {
    if !node.filled_by.is_empty() {
        return Err(Problem::error(node.span.clone(), "a step's name cannot come from a variable"));
    }
    let name = values::text(node)?;
    if name.contains(char::is_control) || name.trim() != name || name.chars().count() > 60 {
        return Err(values::wrong(node, "a name of one line and at most 60 characters"));
    }
    Ok(name)
}

fn after(node: &Node, names: &[Option<&str>], at: usize, problems: &Problems) -> After {
    let above: Vec<&str> = names[..at].iter().copied().flatten().collect();
    match &node.value {
        Value::Text(text) if text == "start" => After::Start,
        Value::Text(text) if node.filled_by.is_empty() && above.contains(&text.as_str()) => {
            let problem = Problem::error(node.span.clone(), "`after` is \"start\" or a list of names");
            problems.report(problem.help(format!("write `after = [\"{text}\"]`")));
            After::Above
        }
        Value::List(list) if list.is_empty() => {
            let problem = Problem::error(node.span.clone(), "`after` names no step");
            problems.report(problem.help("write `after = \"start\"` for a step that waits for none"));
            After::Above
        }
        Value::List(list) => {
            let mut steps: Vec<usize> =
                list.iter().filter_map(|node| problems.take(position(node, names, at))).collect();
            steps.sort_unstable();
            steps.dedup();
            After::Steps(steps)
        }
        _ => {
            let problem = values::wrong(node, "\"start\" or a list of names of steps above");
            problems.report(match &node.value {
                Value::Text(text) if nearest(text, &["start"]).is_some() => {
                    problem.help("did you mean `start`?")
                }
                _ => problem,
            });
            After::Above
        }
    }
}

fn position(node: &Node, names: &[Option<&str>], at: usize) -> Result<usize, Problem> {
    let wanted = values::name(node)?;
    if let Some(found) = names[..at].iter().position(|name| *name == Some(wanted.as_str())) {
        return Ok(found);
    }
    if !node.filled_by.is_empty() {
        return Err(values::wrong(node, "the name of a step above this one"));
    }
    let message = if names[at..].contains(&Some(wanted.as_str())) {
        format!("the step `{wanted}` does not stand above this one")
    } else {
        format!("there is no step `{wanted}` above this one")
    };
    let above: Vec<&str> = names[..at].iter().copied().flatten().collect();
    let problem = Problem::error(node.span.clone(), message);
    Err(match nearest(&wanted, &above) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    })
}

fn when(mut table: Table<'_>, env: &Environment) -> When {
    let flag = |node: &Node| {
        let name = values::name(node)?;
        if env.flag(&name).is_ok() {
            return Ok(name);
        }
        let named = if node.filled_by.is_empty() { format!("`{name}`") } else { "this variable".into() };
        let message = format!("the value of {named} is neither true nor false");
        Err(Problem::error(node.span.clone(), message)
            .help("set it to true, 1, yes or on, or to false, 0, no or off"))
    };
    let scopes = [("shared", Scope::Shared), ("tenants", Scope::Tenants)];
    let when = When {
        role: listed(&mut table, "role", values::name),
        env: listed(&mut table, "env", flag),
        unless_env: listed(&mut table, "unless_env", flag),
        pending: table.read("pending", values::word(&scopes)),
    };
    table.finish();
    when
}

/// One or several names. An empty list would ask nothing, which is not what whoever wrote it meant.
fn listed(
    table: &mut Table<'_>,
    key: &'static str,
    read: impl Fn(&Node) -> Result<String, Problem>,
) -> Vec<String> {
    if let Some(Node { value: Value::List(list), span, .. }) = table.get(key)
        && list.is_empty()
    {
        table
            .report(Problem::error(span.clone(), format!("`{key}` is empty")).help("remove it, or name one"));
    }
    table.one_or_list(key, read).unwrap_or_default()
}
