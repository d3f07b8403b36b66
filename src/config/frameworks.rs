//! The values of `framework`, and the keys that belong to some of them only.

use super::keys::{Key, Keyword, words};

/// The values of `framework`; None if Portcullis applies the migrations itself.
pub(crate) const FRAMEWORKS: &[(&str, External)] = &[
    ("sql", None),
    ("django", Some("django")),
    ("alembic", Some("alembic")),
    ("prisma", Some("prisma")),
    ("drizzle", Some("drizzle")),
    ("typeorm", Some("typeorm")),
    ("knex", Some("knex")),
    ("sequelize", Some("sequelize")),
    ("node-pg-migrate", Some("node-pg-migrate")),
    ("kysely", Some("kysely")),
    ("mikro-orm", Some("mikro-orm")),
    ("dbmate", Some("dbmate")),
    ("rails", Some("rails")),
    ("laravel", Some("laravel")),
    ("refinery", Some("refinery")),
    ("diesel", Some("diesel")),
    ("sea-orm", Some("sea-orm")),
    (CUSTOM, Some(CUSTOM)),
];

/// The framework whose ledger the configuration describes.
const CUSTOM: &str = "custom";

pub(super) fn is_sql(framework: &str) -> bool {
    framework == "sql"
}

pub(super) fn is_django(framework: &str) -> bool {
    framework == "django"
}

pub(super) fn is_custom(framework: &str) -> bool {
    framework == CUSTOM
}

pub(super) fn is_external(framework: &str) -> bool {
    !is_sql(framework)
}

/// Portcullis lists its migrations from the files on disk.
pub(super) fn reads_files(framework: &str) -> bool {
    is_external(framework) && !is_django(framework)
}

pub(super) type External = Option<&'static str>;

impl Keyword for External {
    const KEYWORDS: &'static [(&'static str, Self)] = FRAMEWORKS;
}

/// The values of `framework` that a key needs, for people.
pub(super) fn needed_by(key: &Key) -> Option<String> {
    let only = key.frameworks?;
    let (with, without): (Vec<&str>, Vec<&str>) =
        words::<External>().into_iter().partition(|word| only(word));
    let quoted = |names: Vec<&str>| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
    Some(if with.len() <= without.len() {
        format!("`framework = {}`", quoted(with).join("` or `"))
    } else {
        format!("a `framework` other than {}", quoted(without).join(" and "))
    })
}
