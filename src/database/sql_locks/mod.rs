//! Derives from a statement's text which locks PostgreSQL acquires on existing tables, and whether it reads or rewrites
//! their rows. Pure.
//!
//! Source: PostgreSQL's manual, "Explicit Locking" and "ALTER TABLE". A test executes a statement of each kind and compares
//! the result with `pg_locks`. Text that no pattern describes completely is not known.

mod columns;
mod pattern;
mod rule;

use pattern::parts;
use rule::{Effect, On, Rule, by_rule, on, others};

use super::sql_lexer;
use crate::outcome::migration_plan::{
    PlannedStatement, RowAccess, TableLock,
    TableLockMode::{
        AccessExclusive, AccessShare, RowExclusive, RowShare, Share, ShareRowExclusive, ShareUpdateExclusive,
    },
};

const PARTITIONED: On = On::Others("the table of which it is a partition");
const REFERENCED: On = On::Others("the tables that its foreign keys reference");
const DEPENDENT: On =
    On::Others("the tables that its foreign keys reference, and the tables and views that depend on it");
const USED: On = On::Others("the tables that it reads, and that its triggers and foreign keys use");

const EXCLUSIVE: &[Effect] = &[on(0, AccessExclusive, RowAccess::None)];
const INDEX: &[Effect] = &[on(0, Share, RowAccess::Scan)];
const CONCURRENT_INDEX: &[Effect] = &[on(0, ShareUpdateExclusive, RowAccess::Scan)];
const WEAK: &[Effect] = &[on(0, ShareUpdateExclusive, RowAccess::None)];
const TRIGGER: &[Effect] = &[on(0, ShareRowExclusive, RowAccess::None)];
const DROPPED: &[Effect] = &[on(0, AccessExclusive, RowAccess::None), others(REFERENCED, AccessExclusive)];
const DROPPED_CASCADING: &[Effect] =
    &[on(0, AccessExclusive, RowAccess::None), others(DEPENDENT, AccessExclusive)];
const READS: Effect = (On::Others("the tables that it reads"), Some(AccessShare), RowAccess::None);

/// The first pattern that matches decides.
const STATEMENTS: &[Rule] = &[
    ("create unique? index concurrently if not exists N on only? T ..", CONCURRENT_INDEX),
    ("create unique? index concurrently on only? T ..", CONCURRENT_INDEX),
    ("create unique? index concurrently N on only? T ..", CONCURRENT_INDEX),
    ("create unique? index if not exists N on only? T ..", INDEX),
    ("create unique? index on only? T ..", INDEX),
    ("create unique? index N on only? T ..", INDEX),
    (
        "drop index concurrently if? exists? N",
        &[others(On::Others("the table of the index"), ShareUpdateExclusive)],
    ),
    (
        "drop index if? exists? N cascade|restrict?",
        &[others(On::Others("the table of the index"), AccessExclusive)],
    ),
    (
        "drop table if? exists? L restrict?",
        &[
            (On::All, Some(AccessExclusive), RowAccess::None),
            others(REFERENCED, AccessExclusive),
            others(PARTITIONED, AccessExclusive),
        ],
    ),
    (
        "drop table if? exists? L cascade",
        &[
            (On::All, Some(AccessExclusive), RowAccess::None),
            others(DEPENDENT, AccessExclusive),
            others(PARTITIONED, AccessExclusive),
        ],
    ),
    ("truncate table? L", &[(On::All, Some(AccessExclusive), RowAccess::Rewrite)]),
    ("truncate table? L restart|continue identity", &[(On::All, Some(AccessExclusive), RowAccess::Rewrite)]),
    ("drop view if? exists? L restrict?", &[(On::All, Some(AccessExclusive), RowAccess::None)]),
    ("create or replace view T ()? as ..any", &[on(0, AccessExclusive, RowAccess::None), READS]),
    ("create view N ()? as ..any", &[READS]),
    ("create trigger N *on T ..any-from", TRIGGER),
    ("create or replace trigger N *on T ..any-from", TRIGGER),
    ("drop trigger if? exists? N on T cascade|restrict?", EXCLUSIVE),
    ("create policy N on T ..", EXCLUSIVE),
    ("drop policy if? exists? N on T cascade|restrict?", EXCLUSIVE),
    ("comment on table T is #", WEAK),
    ("comment on column C is #", WEAK),
    ("create type N as ..any", &[]),
    ("alter type N add value ..any", &[]),
    ("create schema if? not? exists? N", &[]),
    ("create sequence if? not? exists? N ..any-owned", &[]),
    ("create or? replace? function|procedure *language plpgsql ..any", &[]),
    ("alter index if? exists? N rename to N", &[]),
    (
        "set constraints ..any",
        &[(On::Others("the tables of the constraints that it checks"), None, RowAccess::MayScan)],
    ),
    ("set ..any", &[]),
    ("reset ..any", &[]),
    ("begin", &[]),
    ("commit", &[]),
    (
        "insert into T ..select-with",
        &[on(0, RowExclusive, RowAccess::None), (USED, None, RowAccess::MayScan)],
    ),
    (
        "update only? T ..select-with",
        &[on(0, RowExclusive, RowAccess::MayScan), (USED, None, RowAccess::MayScan)],
    ),
    (
        "delete from only? T ..select-with",
        &[on(0, RowExclusive, RowAccess::MayScan), (USED, None, RowAccess::MayScan)],
    ),
];

/// The actions of `ALTER TABLE`, whose table is the first capture.
const ACTIONS: &[Rule] = &[
    ("rename to N", EXCLUSIVE),
    ("rename constraint N to N", EXCLUSIVE),
    ("rename column? N to N", EXCLUSIVE),
    ("set schema N", EXCLUSIVE),
    ("owner to #", EXCLUSIVE),
    ("alter column? N set default ..any", EXCLUSIVE),
    ("alter column? N drop default", EXCLUSIVE),
    ("alter column? N drop not null", EXCLUSIVE),
    ("alter column? N set not null", &[on(0, AccessExclusive, RowAccess::MayScan)]),
    ("alter column? N set statistics ..any", WEAK),
    ("alter column? N set storage #", EXCLUSIVE),
    ("alter column? N add generated ..any", EXCLUSIVE),
    ("alter column? N drop identity if? exists?", EXCLUSIVE),
    ("alter column? N set data type ..", TYPE),
    ("alter column? N type ..", TYPE),
    ("drop constraint if? exists? N restrict?", DROPPED),
    ("drop constraint if? exists? N cascade", DROPPED_CASCADING),
    ("drop column? if exists N restrict?", DROPPED),
    ("drop column? if exists N cascade", DROPPED_CASCADING),
    ("drop column? N restrict?", DROPPED),
    ("drop column? N cascade", DROPPED_CASCADING),
    (
        "validate constraint N",
        &[
            on(0, ShareUpdateExclusive, RowAccess::MayScan),
            (On::Others("the table that the constraint references"), Some(RowShare), RowAccess::MayScan),
        ],
    ),
    ("enable|disable trigger #", TRIGGER),
    ("enable|disable row level security", EXCLUSIVE),
    ("no? force row level security", EXCLUSIVE),
    ("set logged|unlogged", &[on(0, AccessExclusive, RowAccess::MayRewrite)]),
    ("set without cluster", WEAK),
    ("cluster on N", WEAK),
    ("replica identity ..any", EXCLUSIVE),
];
/// A foreign key on the column is created again.
const TYPE: &[Effect] = &[
    on(0, AccessExclusive, RowAccess::MayRewrite),
    (
        On::Others("the tables that the column's foreign keys connect"),
        Some(AccessExclusive),
        RowAccess::MayScan,
    ),
];

/// The statements of a text; `has_table_locks` is false for an engine without locks on tables.
pub(crate) fn statements(sql: &str, has_table_locks: bool) -> impl Iterator<Item = PlannedStatement> {
    sql_lexer::split(sql).map(move |(_, statement)| PlannedStatement {
        sql: Some(sql_lexer::without_trailing_comments(statement).to_owned()),
        locks: has_table_locks.then(|| locks(statement)).flatten(),
    })
}

/// The locks on existing tables; None if they are not known.
fn locks(statement: &str) -> Option<Vec<TableLock>> {
    let mut tokens = sql_lexer::words(statement);
    if tokens.last() == Some(&";") {
        tokens.pop();
    }
    if tokens.contains(&";") {
        return None;
    }
    let is = |at: usize, words: &[&str]| {
        tokens.get(at).is_some_and(|token| words.iter().any(|word| token.eq_ignore_ascii_case(word)))
    };
    if is(0, &["alter"]) && is(1, &["table"]) {
        return alter_table(&tokens);
    }
    if is(0, &["create"])
        && (is(1, &["table"]) || is(1, &["unlogged", "temp", "temporary"]) && is(2, &["table"]))
    {
        return columns::create_table(&tokens);
    }
    by_rule(STATEMENTS, &[], &tokens)
}

fn alter_table(tokens: &[&str]) -> Option<Vec<TableLock>> {
    let mut head = 2;
    for word in ["if", "exists", "only"] {
        head += usize::from(tokens.get(head).is_some_and(|token| token.eq_ignore_ascii_case(word)));
    }
    let (table, used) = pattern::name(tokens.get(head..)?)?;
    head += used + usize::from(tokens.get(head + used) == Some(&"*"));
    let table = [table];
    let mut all: Vec<TableLock> = Vec::new();
    for action in parts(tokens.get(head..)?) {
        let locks = if action.first().is_some_and(|word| word.eq_ignore_ascii_case("add")) {
            columns::add(&table, &action[1..])
        } else {
            by_rule(ACTIONS, &table, action)
        };
        for lock in locks? {
            match all.iter_mut().find(|known| known.table == lock.table) {
                Some(known) => {
                    known.mode = known.mode.max(lock.mode);
                    known.rows = known.rows.max(lock.rows);
                }
                None => all.push(lock),
            }
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::migration_plan::{LockedTable, TableLockMode};

    fn shown(sql: &str) -> Option<String> {
        let one = |lock: TableLock| {
            let table = match lock.table {
                LockedTable::Named(name) => name,
                LockedTable::Described(_) => "(others)".into(),
            };
            format!("{table} {} {}", lock.mode.map_or("?", TableLockMode::name), lock.rows.name())
        };
        Some(locks(sql)?.into_iter().map(one).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn names_are_read_as_postgresql_reads_them() {
        let known = |sql: &str| shown(sql).unwrap_or_else(|| "not known".into());
        assert_eq!(known("ALTER TABLE Item ADD n int;"), "item ACCESS EXCLUSIVE none");
        assert_eq!(known("alter table \"a\"\"B\".\"Item\" add n int"), "a\"B.Item ACCESS EXCLUSIVE none");
        assert_eq!(known("comment on column app.item.n is 'x; y'"), "app.item SHARE UPDATE EXCLUSIVE none");
        assert_eq!(known("/* a */ DROP INDEX -- b\n item_n;"), "(others) ACCESS EXCLUSIVE none");
    }

    #[test]
    fn the_strongest_action_decides() {
        let sql = "ALTER TABLE item ALTER n SET STATISTICS 5, ADD CHECK (n > 0), ADD m int DEFAULT random()";
        assert_eq!(shown(sql).as_deref(), Some("item ACCESS EXCLUSIVE rewrite"));
    }

    #[test]
    fn text_that_is_not_understood_completely_is_not_known() {
        for sql in [
            "",
            "DO $$ BEGIN DROP TABLE item; END $$",
            "SELECT 1; DROP TABLE item",
            "SELECT drop_everything()",
            "UPDATE item SET n = change_all(n)",
            "UPDATE item SET n = own.lower(n)",
            "CREATE INDEX ON item (own_function(n))",
            "ALTER TABLE item ADD CHECK (own_function(n))",
            "ALTER TABLE item ADD n int DEFAULT 1, ATTACH PARTITION other DEFAULT",
            "ALTER TABLE item ADD n int, FROBNICATE",
            "ALTER TABLE item ADD COLUMN n int GARBAGE 'x'",
            "CREATE TABLE item (LIKE other)",
            "CREATE TABLE item AS SELECT * FROM other",
            "CREATE TABLE item (n) WITH (fillfactor = 70) AS SELECT * FROM other",
            "INSERT INTO item WITH a AS (DELETE FROM other RETURNING *) SELECT * FROM a",
            "CREATE TABLE item PARTITION OF other FOR VALUES IN (1)",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1 FROM item'",
            "CREATE SEQUENCE s OWNED BY item.n",
            "CREATE EXTENSION citext",
            "DROP TABLE item, ",
            "ALTER TABLE U&\"item\" ADD n int",
            "WITH a AS (DELETE FROM item RETURNING *) INSERT INTO other SELECT * FROM a",
        ] {
            assert_eq!(shown(sql), None, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(words in prop::collection::vec("alter|table|add|column|\\(|\\)|,|x|\"|default|references|drop|create|index|on|check|not|null|\\.|;|'", 0..12)) {
            let _ = locks(&words.join(" "));
        }
    }
}
