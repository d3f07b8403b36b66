//! A template file: the pg_dump of one tenant's schema with a digest that proves its integrity and its release.

use sha2::{Digest, Sha256};

const HEADER: &str =
    "-- Portcullis's template of a tenant, made by `portcullis tenant template`. Do not edit it.";

/// One tenant's schema under a unique name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// The release whose manifest verified it.
    pub(crate) release: String,
    /// The server's major version; other versions may describe the same structure differently.
    pub(crate) server: String,
    /// The name in the dump.
    pub(crate) schema: String,
    /// The digest of the schema's structure without the ledger's table.
    pub(crate) structure: String,
    pub(crate) sql: String,
}

impl Template {
    /// The file's text.
    pub(crate) fn text(&self) -> String {
        let Self { release, server, schema, structure, sql } = self;
        let digest = self.digest();
        format!(
            "{HEADER}\n-- release: {release}\n-- server: {server}\n-- schema: {schema}\n\
             -- structure: {structure}\n-- digest: {digest}\n{sql}"
        )
    }

    /// Parses a file's text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.strip_prefix('\n'))
            .ok_or("it is not a template")?;
        let mut field = |name: &str| {
            let (line, after) = rest.split_once('\n').ok_or("it is truncated")?;
            rest = after;
            let value = line.strip_prefix("-- ").and_then(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.map(str::to_owned).ok_or_else(|| format!("the line `{name}` is missing"))
        };
        let (release, server) = (field("release")?, field("server")?);
        let (schema, structure, digest) = (field("schema")?, field("structure")?, field("digest")?);
        let template = Self { release, server, schema, structure, sql: rest.to_owned() };
        if template.digest() == digest {
            Ok(template)
        } else {
            Err("it was changed after it was built".into())
        }
    }

    fn digest(&self) -> String {
        let Self { release, server, schema, structure, sql } = self;
        let content = [release, server, schema, structure, sql].map(String::as_str).join("\n");
        Sha256::digest(content).iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    }
}

/// pg_dump's output without its session settings, the schema's creation and the schema's comment.
pub(crate) fn cleaned(dump: &str, schema: &str) -> Result<String, String> {
    let create = format!("CREATE SCHEMA \"{schema}\";\n");
    let (_, after) = dump.split_once(&create).ok_or("pg_dump's output does not contain the schema")?;
    // Only before the first table: later the same words may be a row's data.
    let comment = format!("COMMENT ON SCHEMA \"{schema}\" IS ");
    let after = match after.split_once(&comment) {
        Some((before, rest))
            if before.trim().lines().all(|line| line.starts_with("--") || line.trim().is_empty()) =>
        {
            rest.split_once(";\n").map_or("", |(_, rest)| rest)
        }
        _ => after,
    };
    let mut sql = String::with_capacity(after.len());
    // Newer versions of pg_dump surround their output with these psql commands.
    let end = after.rfind("\n\\unrestrict ").unwrap_or(after.len());
    sql += after.get(..end).unwrap_or(after);
    sql.push('\n');
    Ok(sql)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn template() -> Template {
        Template {
            release: "ab12".into(),
            server: "15".into(),
            schema: "portcullis_template_1".into(),
            structure: "cd34".into(),
            sql: "CREATE TABLE \"portcullis_template_1\".\"item\" ();\n".into(),
        }
    }

    #[test]
    fn a_written_template_parses_and_a_changed_one_does_not() {
        let text = template().text();
        assert_eq!(Template::parse(&text).unwrap(), template());
        assert!(Template::parse(&text.replace("item", "iten")).unwrap_err().contains("changed"));
        assert!(
            Template::parse(&text.replace("release: ab12", "release: ef56")).unwrap_err().contains("changed")
        );
        assert!(Template::parse("CREATE TABLE x ();").unwrap_err().contains("not a template"));
    }

    #[test]
    fn only_the_schemas_content_stays_in_the_dump() {
        let dump = "\\restrict abc\nSET statement_timeout = 0;\nCREATE SCHEMA \"t\";\n\n--\n-- Name: SCHEMA \"t\"; Type: COMMENT\n--\n\n\
            COMMENT ON SCHEMA \"t\" IS 'portcullis: not whole';\n\nCREATE TABLE \"t\".\"a\" ();\n\\unrestrict abc\n\n";
        assert_eq!(cleaned(dump, "t").unwrap().trim(), "CREATE TABLE \"t\".\"a\" ();");
        assert!(cleaned("SET x = 1;\n", "t").is_err());
    }
}
