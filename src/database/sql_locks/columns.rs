//! The locks of new columns and constraints.

use super::{
    pattern::{calls_unknown, name, parenthesized, parts},
    rule::{Effect, Rule, by_rule, on},
};
use crate::outcome::migration_plan::{
    LockedTable, RowAccess, TableLock,
    TableLockMode::{AccessExclusive, ShareRowExclusive},
};

const EXCLUSIVE_SCAN: &[Effect] = &[on(0, AccessExclusive, RowAccess::Scan)];

/// The constraints of `ADD [CONSTRAINT name]`, without `NOT VALID`.
const CONSTRAINTS: &[Rule] = &[
    ("primary key using index N ..any", &[on(0, AccessExclusive, RowAccess::MayScan)]),
    ("unique using index N ..any", &[on(0, AccessExclusive, RowAccess::None)]),
    ("primary key () ..any", EXCLUSIVE_SCAN),
    ("unique nulls? not? distinct? () ..any", EXCLUSIVE_SCAN),
    ("check () no? inherit?", EXCLUSIVE_SCAN),
    ("exclude using N () ..any", EXCLUSIVE_SCAN),
    ("not null N no? inherit?", &[on(0, AccessExclusive, RowAccess::MayScan)]),
    (
        "foreign key () references T ()? ..any",
        &[on(0, ShareRowExclusive, RowAccess::Scan), on(1, ShareRowExclusive, RowAccess::MayScan)],
    ),
];

/// The words with which a constraint or another clause of a column starts.
const CLAUSES: &str = " check collate constraint default generated not null primary references unique ";
const TYPES: &str = " bigint bit bool boolean bytea char character cidr date decimal double float float4 float8 inet int \
    int2 int4 int8 integer interval json jsonb macaddr money numeric oid real smallint text time timestamp timestamptz \
    timetz tsquery tsvector uuid varchar xml varying precision with without zone ";
const CONSTANTS: &str = " array current_date current_time current_timestamp false localtime localtimestamp now \
    statement_timestamp transaction_timestamp true ";
const VOLATILE: &str = " clock_timestamp gen_random_uuid nextval random timeofday uuid_generate_v1 uuid_generate_v4 uuidv4 uuidv7 ";
const SERIAL: &str = " bigserial serial serial2 serial4 serial8 smallserial ";

fn is_in(list: &str, token: &str) -> bool {
    let token = token.to_ascii_lowercase();
    list.split_ascii_whitespace().any(|word| word == token)
}

fn is(token: Option<&&str>, word: &str) -> bool {
    token.is_some_and(|token| token.eq_ignore_ascii_case(word))
}

/// An action `ADD` of `ALTER TABLE`, without this word.
pub(super) fn add(table: &[String], tokens: &[&str]) -> Option<Vec<TableLock>> {
    let mut rest = tokens;
    if is(rest.first(), "constraint") {
        rest = rest.get(1 + name(rest.get(1..)?)?.1..)?;
    }
    let length = rest.len();
    let is_not_valid = length > 2 && is(rest.get(length - 2), "not") && is(rest.get(length - 1), "valid");
    let constraint = if is_not_valid { &rest[..length - 2] } else { rest };
    if let Some(mut locks) = by_rule(CONSTRAINTS, table, constraint) {
        if is_not_valid {
            for lock in &mut locks {
                lock.rows = RowAccess::None;
            }
        }
        return Some(locks);
    }
    if rest.len() < tokens.len() {
        return None;
    }
    let after = usize::from(is(rest.first(), "column"));
    let mut rest = &rest[after..];
    if is(rest.first(), "if") && is(rest.get(1), "not") && is(rest.get(2), "exists") {
        rest = &rest[3..];
    }
    column(table, rest.get(name(rest)?.1..)?)
}

/// A new column, without its name.
fn column(table: &[String], tokens: &[&str]) -> Option<Vec<TableLock>> {
    let (kind, mut clauses) = clauses(tokens);
    let mut rows = type_access(kind)?;
    let mut referenced = None;
    let (mut has_default, mut is_not_null) = (false, false);
    while let Some((first, rest)) = clauses.split_first() {
        let (content, more) = self::clauses(rest);
        match first.to_ascii_lowercase().as_str() {
            "default" => {
                has_default = !(content.is_empty() && is(more.first(), "null"));
                rows = rows.max(default_access(content));
            }
            "not" if is(rest.first(), "null") => is_not_null = true,
            "check" if parenthesized(content) == Some(content.len()) && !calls_unknown(content) => {
                rows = rows.max(RowAccess::Scan);
            }
            "unique" if content.is_empty() => rows = rows.max(RowAccess::Scan),
            "primary" if content.len() == 1 && is(content.first(), "key") => rows = rows.max(RowAccess::Scan),
            "generated" => rows = RowAccess::MayRewrite.max(rows),
            // `not deferrable` is part of the reference.
            "references" => referenced = Some(name(content)?.0),
            "not" if is(rest.first(), "deferrable") && referenced.is_some() => {}
            "null" if content.iter().all(|word| is_in(" deferrable initially deferred immediate ", word)) => {
            }
            "collate" | "constraint" if name(content).is_some_and(|(_, used)| used == content.len()) => {}
            _ => return None,
        }
        clauses = more;
    }
    if is_not_null && !has_default {
        // It fails unless the table is empty.
        rows = rows.max(RowAccess::MayScan);
    }
    let named = |name: &String| LockedTable::Named(name.clone());
    let mut locks = vec![TableLock { table: named(table.first()?), mode: Some(AccessExclusive), rows }];
    if let Some(name) = referenced.filter(|name| Some(name) != table.first()) {
        // Without a default, every reference is NULL and needs no check.
        let scan = if has_default { RowAccess::MayScan } else { RowAccess::None };
        locks[0].rows = locks[0].rows.max(if has_default { RowAccess::Scan } else { RowAccess::None });
        locks.push(TableLock { table: LockedTable::Named(name), mode: Some(ShareRowExclusive), rows: scan });
    }
    Some(locks)
}

/// The tokens before the next clause, and the rest.
fn clauses<'a, 'b>(tokens: &'b [&'a str]) -> (&'b [&'a str], &'b [&'a str]) {
    let mut depth = 0_usize;
    let next = tokens.iter().position(|token| {
        match *token {
            "(" | "[" => depth += 1,
            ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && is_in(CLAUSES, token)
    });
    tokens.split_at(next.unwrap_or(tokens.len()))
}

/// A domain may have constraints, which are checked by a rewrite. None without a type.
fn type_access(kind: &[&str]) -> Option<RowAccess> {
    let first = kind.first()?;
    if kind.len() == 1 && is_in(SERIAL, first) {
        return Some(RowAccess::Rewrite);
    }
    let is_part = |token: &&str| is_in(TYPES, token) || is_constant(token) || "()[],".contains(*token);
    if kind.iter().all(is_part) {
        return Some(RowAccess::None);
    }
    name(kind).filter(|(_, used)| kind[*used..].iter().all(is_part)).map(|_| RowAccess::MayRewrite)
}

fn is_constant(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_digit() || c == '\'')
        || token.starts_with("E'")
        || token.starts_with("e'")
}

/// A default without volatile functions is stored once for all rows.
fn default_access(expression: &[&str]) -> RowAccess {
    if expression.iter().any(|token| is_in(VOLATILE, token)) {
        return RowAccess::Rewrite;
    }
    let is_stable = |token: &&str| {
        is_constant(token) || "()[],.:+-*/".contains(*token) || is_in(TYPES, token) || is_in(CONSTANTS, token)
    };
    if expression.iter().all(is_stable) { RowAccess::None } else { RowAccess::MayRewrite }
}

/// A new table locks the tables that it references.
pub(super) fn create_table(tokens: &[&str]) -> Option<Vec<TableLock>> {
    let mut at = 1 + tokens.iter().position(|token| token.eq_ignore_ascii_case("table"))?;
    if is(tokens.get(at), "if") && is(tokens.get(at + 1), "not") && is(tokens.get(at + 2), "exists") {
        at += 3;
    }
    let (table, used) = name(tokens.get(at..)?)?;
    let rest = tokens.get(at + used..)?;
    let end = parenthesized(rest)?;
    let tail_starts = |token: &&str| is_in(" with tablespace partition using on without ", token);
    // `AS` reads other tables.
    if !rest.get(end).is_none_or(tail_starts) || rest[end..].iter().any(|token| is_in(" as ", token)) {
        return None;
    }
    let mut locks: Vec<TableLock> = Vec::new();
    for item in parts(&rest[1..end - 1]) {
        // Another table's columns are read, and a quoted name is not a keyword.
        if item.iter().any(|token| is_in(" like inherits ", token)) {
            return None;
        }
        for (at, _) in item.iter().enumerate().filter(|(_, token)| token.eq_ignore_ascii_case("references")) {
            let name = LockedTable::Named(name(&item[at + 1..])?.0);
            if name != LockedTable::Named(table.clone()) && !locks.iter().any(|lock| lock.table == name) {
                locks.push(TableLock { table: name, mode: Some(ShareRowExclusive), rows: RowAccess::None });
            }
        }
    }
    Some(locks)
}
