//! Reports the keys of a table that are unknown or have their former name.

use super::{
    fields::Table,
    frameworks::needed_by,
    interpolate::Entry,
    problem::{Problem, shown},
};

impl Table<'_> {
    /// Reports each key with its former name.
    fn report_former_names(&self) {
        for (key, former) in self.section.keys.iter().filter_map(|key| Some((key, key.former?))) {
            let Some(entry) = self.entries.iter().find(|entry| entry.key == former) else { continue };
            let span = entry.key_span.clone();
            self.report(if self.entries.iter().any(|entry| entry.key == key.name) {
                Problem::error(span, format!("`{former}` and `{}` are the same key", key.name))
                    .help(format!("remove `{former}`, the former name"))
            } else {
                Problem::warning(span, format!("`{former}` is now `{}`", key.name))
                    .help("the next release does not accept the former name")
            });
        }
    }

    /// Reports every unknown key, and returns their number.
    pub(super) fn finish(self) -> usize {
        self.report_former_names();
        let unknown = self.entries.iter().filter(|entry| !self.read.contains(&entry.key.as_str()));
        unknown.map(|entry| self.report(self.unknown(entry))).count()
    }

    fn unknown(&self, entry: &Entry) -> Problem {
        let problem = |message: String| Problem::error(entry.key_span.clone(), message);
        if let Some(frameworks) = self.section.key(&entry.key).and_then(needed_by) {
            return problem(format!("`{}` needs {frameworks}", entry.key));
        }
        let known = self.section.keys.iter().filter(|key| key.is_of(self.framework));
        let known: Vec<&str> = known.map(|key| key.name).collect();
        let problem = problem(format!("{} has no key `{}`", self.section.name, shown(&entry.key)));
        match self.reading.nearest(&entry.key, &known) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => problem,
            None => problem.help(format!("one of: {}", known.join(", "))),
        }
    }
}
