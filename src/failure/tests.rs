//! Tests the failures whose code, tenant or text depends on what they contain.

use super::*;

#[test]
fn only_what_is_wrong_here_is_no_refusal() {
    for kind in [Kind::File, Kind::Silent, Kind::Protocol, Kind::Corrupt, Kind::ReadOnly, Kind::DiskFull] {
        assert_eq!(Failure::refused("`db`", Cause::new(kind, "why")).code(), 74, "{kind:?}");
    }
    for kind in [Kind::Authentication, Kind::Certificate, Kind::Permission, Kind::Other] {
        assert_eq!(Failure::refused("`db`", Cause::new(kind, "why")).code(), 77, "{kind:?}");
    }
}

#[test]
fn missing_values_are_an_error_of_whoever_gives_them() {
    let missing = |argv: Option<&str>| {
        Failure::ValuesMissing(MissingValues {
            tenant: "acme".into(),
            columns: Vec::new(),
            domain_columns: Vec::new(),
            argv: argv.map(|argument| vec![argument.to_owned()]),
        })
    };
    assert_eq!((missing(Some("acme")).code(), missing(None).code()), (64, 78));
    assert_eq!(missing(None).tenant(), Some("acme"));
}

#[test]
fn failed_and_unmigratable_schemas_are_counted() {
    for (failed, unmigratable, text) in [
        (1, 0, "a migration failed in 1 schema"),
        (0, 1, "1 schema cannot be migrated in its current state"),
        (2, 3, "a migration failed in 2 schemas, 3 schemas cannot be migrated in their current state"),
    ] {
        assert_eq!(Failure::MigrationFailed { failed, unmigratable }.to_string(), text);
    }
}
