//! Reads `[[step]]`: names, order, conditions. `actions` reads the kinds.

use std::{collections::HashMap, ops::Range};

use super::{
    Action, After, Flag, OnFailure, Step, When, actions,
    fields::Table,
    interpolate::{Node, Value},
    keys::{KINDS, Keyword, Kind},
    problem::{Problem, nearest, shown},
    reading::Reading,
    values::{self, Read},
};

impl Keyword for OnFailure {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("block", OnFailure::Block), ("warn", OnFailure::Warn)];
}

/// A step as far as it could be read, with the places that checks across steps refer to.
pub(super) struct ParsedStep {
    pub(super) name: Option<String>,
    /// The step's name in messages.
    pub(super) called: String,
    pub(super) after: After,
    pub(super) after_span: Option<Range<usize>>,
    pub(super) when: When,
    pub(super) on_failure: OnFailure,
    pub(super) action: Option<Action>,
    /// The key of its kind.
    pub(super) kind_span: Range<usize>,
    /// The key `when`, if the step has one.
    pub(super) when_span: Option<Range<usize>>,
    /// The place of `background = true`.
    pub(super) background: Option<Range<usize>>,
}

impl ParsedStep {
    /// None if it could not be read completely.
    pub(super) fn into_step(self) -> Option<Step> {
        let ParsedStep { name, after, when, on_failure, action, .. } = self;
        Some(Step { name: name?, after, when, on_failure, action: action? })
    }
}

/// The names of all steps, by position, as far as they are known before the steps are read.
struct StepNames<'t> {
    list: Vec<Option<&'t str>>,
    first: HashMap<&'t str, usize>,
}

pub(super) fn read<'t>(steps: Vec<(&'t Node, Table<'t>)>) -> Vec<ParsedStep> {
    let mut names =
        StepNames { list: steps.iter().map(|(node, _)| name_of(node)).collect(), first: HashMap::new() };
    for (at, name) in names.list.iter().enumerate() {
        if let Some(name) = name {
            names.first.entry(name).or_insert(at);
        }
    }
    steps.into_iter().enumerate().map(|(at, (_, table))| read_one(table, &names, at)).collect()
}

/// The name that others may refer to, before the step itself is read.
fn name_of(node: &Node) -> Option<&str> {
    let Value::Table(entries) = &node.value else {
        return None;
    };
    entries.iter().find(|entry| entry.key == "name").and_then(|entry| match &entry.node.value {
        Value::Text(text) if entry.node.filled_by.is_empty() && !text.is_empty() => Some(text.as_str()),
        _ => None,
    })
}

fn read_one(mut table: Table<'_>, names: &StepNames<'_>, at: usize) -> ParsedStep {
    let reading = table.reading;
    let name: Option<String> = table.get("name");
    if let Some(taken) = names.list[at]
        && let Some(first) = names.first.get(taken).filter(|first| **first < at)
    {
        let message = format!("the name `{}` is already used by step {}", shown(taken), first + 1);
        table.report_at("name", &message, Some("give each step a unique name"));
    }
    let after_node = table.node("after");
    let after = after_node.map_or(After::Above, |node| after(node, names, at, reading));
    let when_span = table.entry("when").map(|entry| entry.key_span.clone());
    let when = table.table("when").map_or_else(When::default, when);
    let on_failure = table.get("on_failure").unwrap_or(OnFailure::Block);
    let called = name.as_ref().map_or_else(|| format!("step {}", at + 1), |name| format!("step `{name}`"));
    let found = actions::read(&mut table);
    if let (Some(Action::Verify(_)), OnFailure::Warn) = (&found.action, on_failure) {
        let message = "a verify step that only warns would open the gate";
        table.report_at("on_failure", message, Some("remove `on_failure`"));
    }
    let span = table.span.clone();
    let unknown = table.finish();
    if found.count == 0 && unknown == 0 {
        let message = format!("{called} does nothing");
        let help = format!("give it one of {}", KINDS.join(", "));
        reading.report(Problem::error(span.clone(), message).help(help));
    }
    ParsedStep {
        name,
        called,
        after,
        after_span: after_node.map(|node| node.span.clone()),
        when,
        on_failure,
        action: found.action,
        when_span,
        kind_span: found.place.unwrap_or(span),
        background: found.background,
    }
}

fn after(node: &Node, names: &StepNames<'_>, at: usize, reading: &Reading<'_>) -> After {
    match &node.value {
        Value::Text(text) if text == "start" => After::Start,
        Value::Text(text)
            if node.filled_by.is_empty()
                && names.first.get(text.as_str()).is_some_and(|first| *first < at) =>
        {
            let problem = Problem::error(node.span.clone(), "`after` is \"start\" or a list of names");
            reading.report(problem.help(format!("write `after = [\"{}\"]`", shown(text))));
            After::Above
        }
        Value::List(list) if list.is_empty() => {
            let problem = Problem::error(node.span.clone(), "`after` names no step");
            reading.report(problem.help("write `after = \"start\"` for a step that waits for none"));
            After::Above
        }
        Value::List(list) => {
            let filled = list.iter().filter(|node| !matches!(node.value, Value::Unresolved));
            let mut steps: Vec<usize> = filled
                .filter_map(|node| reading.value_or_report(position(node, names, at, reading)))
                .collect();
            steps.sort_unstable();
            steps.dedup();
            After::Steps(steps)
        }
        _ => {
            let problem = values::wrong(node, "\"start\" or a list of names of steps above");
            reading.report(match &node.value {
                Value::Text(text) if nearest(text, &["start"]).is_some() => {
                    problem.help("did you mean `start`?")
                }
                _ => problem,
            });
            After::Above
        }
    }
}

fn position(node: &Node, names: &StepNames<'_>, at: usize, reading: &Reading<'_>) -> Result<usize, Problem> {
    let name = values::name(node)?;
    let found = names.first.get(name.as_str());
    if let Some(found) = found.filter(|found| **found < at) {
        return Ok(*found);
    }
    if !node.filled_by.is_empty() {
        return Err(values::wrong(node, "the name of a step above this one"));
    }
    let message = match found {
        Some(_) => format!("the step `{}` is not above this one", shown(&name)),
        None => format!("no step `{}` exists above this one", shown(&name)),
    };
    let above: Vec<&str> = names.list[..at].iter().copied().flatten().collect();
    let problem = Problem::error(node.span.clone(), message);
    Err(match reading.nearest(&name, &above) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem,
    })
}

fn when(mut table: Table<'_>) -> When {
    for key in ["role", "env", "unless_env"] {
        if let Some(Node { value: Value::List(list), .. }) = table.node(key)
            && list.is_empty()
        {
            // An empty list would have no effect, which is probably not intended.
            table.report_at(key, &format!("`{key}` is empty"), Some("remove it, or name one"));
        }
    }
    let when = When {
        role: table.value("role"),
        env: table.value("env"),
        unless_env: table.value("unless_env"),
        pending: table.get("pending"),
    };
    table.finish();
    when
}

impl Read for Flag {
    fn read(node: &Node, _: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let name = values::name(node)?;
        if let Ok(is_true) = reading.env.flag(&name) {
            return Ok(Flag { name, is_true });
        }
        let named =
            if node.filled_by.is_empty() { format!("`{}`", shown(&name)) } else { "this variable".into() };
        let message = format!("the value of {named} is neither true nor false");
        Err(Problem::error(node.span.clone(), message)
            .help("set it to true, 1, yes or on, or to false, 0, no or off"))
    }
}
