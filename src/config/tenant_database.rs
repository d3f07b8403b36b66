//! The location of a tenant that has its own database: a template with columns of the registry, whose filled text is a
//! database's name or a URL.

use super::{
    Password, Postgres,
    interpolate::Node,
    keys::Kind,
    libpq::{hosts, parse},
    problem::Problem,
    reading::Reading,
    secret::Secret,
    values::{self, Read},
};

/// Text with columns of the registry in braces, such as `app_{slug}` or `postgres://{host}/{database}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantDatabase(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Column(String),
}

impl TenantDatabase {
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    pub(crate) fn uses(&self, name: &str) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Column(column) if column == name))
    }

    fn parse(text: &str) -> Option<Self> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (column, after) = after.split_once('}')?;
            if before.contains('}') || column.is_empty() || column.contains(['{', '"', '\0']) {
                return None;
            }
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(Part::Column(column.to_owned()));
            rest = after;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        let has_column = parts.iter().any(|part| matches!(part, Part::Column(_)));
        (has_column && !rest.contains('}')).then_some(Self(parts))
    }
}

impl Read for TenantDatabase {
    fn read(node: &Node, kind: Kind, reading: &Reading<'_>) -> Result<Self, Problem> {
        let text = String::read(node, kind, reading)?;
        let shape = "text with columns of the registry in braces, as in \"app_{slug}\" or \"{database_url}\"";
        Self::parse(&text).ok_or_else(|| values::wrong(node, shape))
    }
}

impl Postgres {
    /// The connection to a tenant's database. A URL replaces the parts that it contains.
    pub(crate) fn of_tenant(&self, location: &str) -> Result<Self, String> {
        let scheme = |prefix| location.strip_prefix(prefix);
        let Some(rest) = scheme("postgres://").or_else(|| scheme("postgresql://")) else {
            if location.is_empty() {
                return Err("the registry contains no name of its database".into());
            }
            return Ok(self.renamed(location));
        };
        let (mut own, _) =
            parse(rest).map_err(|fault| format!("its URL in the registry: {}", fault.message))?;
        let name = own.remove("dbname").ok_or("its URL in the registry names no database")?;
        let given = hosts::take(&mut own)?;
        let (user, password) = (own.remove("user"), own.remove("password"));
        let mut one = self.renamed(&name);
        if let Some(hosts) = given {
            // The other connections of `[database]` lead to other servers.
            one.direct = None;
            if let Some(reader) = &mut one.reader {
                reader.hosts.clone_from(&hosts);
            }
            one.hosts = hosts;
        }
        one.parameters.extend(own);
        one.user = user.unwrap_or(one.user);
        one.password = password.map_or(one.password, |password| Password::Literal(Secret::new(password)));
        Ok(one)
    }

    /// The same connections to another database of the server.
    pub(crate) fn renamed(&self, name: &str) -> Self {
        let other = |other: &Option<Box<Self>>| other.as_deref().map(|other| Box::new(other.renamed(name)));
        Self {
            name: name.to_owned(),
            direct: other(&self.direct),
            reader: other(&self.reader),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn a_template_has_at_least_one_column() {
        let text = |text: &str| Part::Text(text.into());
        let column = |name: &str| Part::Column(name.into());
        assert_eq!(TenantDatabase::parse("app_{slug}").unwrap().parts(), [text("app_"), column("slug")]);
        assert_eq!(TenantDatabase::parse("{url}").unwrap().parts(), [column("url")]);
        let url = TenantDatabase::parse("postgres://{host}:6432/{db}").unwrap();
        let parts = [text("postgres://"), column("host"), text(":6432/"), column("db")];
        assert_eq!(url.parts(), parts);
        for wrong in ["", "app", "app_{", "app_}", "{}", "a{b}}", "{a{b}", "}{a}"] {
            assert_eq!(TenantDatabase::parse(wrong), None, "{wrong}");
        }
    }
}
