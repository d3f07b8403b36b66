//! Frameworks whose migrations Portcullis lists from the files on disk, without starting anything, and whose own command
//! applies them: what such a framework declares, and what follows from it.

mod list;
mod listing;
mod source_file;

use std::path::{Path, PathBuf};

pub(super) use self::{list::by_id, source_file::SourceFile};
use super::{
    framework::{External, Framework, FrameworkInfo, Progress, StopPolicy},
    heads,
    signature::Signature,
    sql,
};
use crate::{
    config::{self, FilePattern, IdTemplate, LedgerFiles},
    failure::{Failure, chain},
    tenants::{
        inspection::LedgerRow,
        ledger::{Comparison, Ledger, LedgerLayout},
        manifest::{Expected, Manifest, Migration, Sources},
    },
};

/// The command that writes the manifest.
const MAKE: &str = "portcullis manifest files";

/// A framework's ledger and its migration files.
#[derive(Debug)]
pub(super) struct FileLedger {
    /// The name in the configuration and in manifests.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) signatures: &'static [Signature],
    pub(super) layout: LedgerLayout<'static>,
    /// The patterns of its files, as in the configuration.
    pub(super) files: &'static [&'static str],
    /// The template of the identifiers; None for the pattern's only placeholder that identifies.
    pub(super) recorded_as: Option<&'static str>,
    /// Identifiers that are numbers tell the order of the migrations.
    pub(super) is_ordered: bool,
    /// Projects delete files that are applied everywhere: recorded migrations that are older than every file are not unknown.
    pub(super) may_be_pruned: bool,
    /// Reads the identifiers of the migrations in one file that may leave its transaction.
    pub(super) ids: fn(&SourceFile) -> Result<Vec<String>, String>,
    /// Reads the migrations from the files.
    pub(super) read: fn(&[SourceFile]) -> Result<Vec<Migration>, String>,
    /// A migration that failed in a transaction changed nothing, unless its file may leave the transaction.
    pub(super) is_atomic: bool,
    /// The progress in an output line of its command.
    pub(super) read_line: fn(&str) -> Option<Progress<'_>>,
}

impl Framework for FileLedger {
    fn name(&self) -> &'static str {
        self.name
    }

    fn ledgers(&'static self) -> Vec<&'static dyn Ledger> {
        vec![self]
    }

    fn make(&self) -> &'static str {
        MAKE
    }

    fn signatures(&self) -> &'static [Signature] {
        self.signatures
    }

    fn external(&'static self) -> Option<&'static dyn External> {
        Some(self)
    }
}

impl Ledger for FileLedger {
    fn name(&self) -> &'static str {
        self.name
    }

    fn shape(&self) -> LedgerLayout<'static> {
        self.layout
    }

    /// Without an expectation, the rows of the shared schema belong to a project that is not configured.
    fn compare(&self, expected: &Expected, recorded: &[LedgerRow]) -> Comparison {
        if *expected == Expected::default() {
            Comparison::default()
        } else if expected.migrations.iter().any(|migration| !migration.depends.is_empty()) {
            heads::compare(expected, recorded, self.is_ordered)
        } else {
            // A framework that accepts both line ends gives its migrations the checksums of both.
            let mut compared =
                Comparison { altered_line_ends: Vec::new(), ..sql::compare(expected, recorded) };
            compared.unknown.retain(|id| !self.may_be_pruned || !is_pruned(id, &expected.migrations));
            compared
        }
    }
}

impl External for FileLedger {
    fn about(&self) -> FrameworkInfo {
        FrameworkInfo { title: self.title, ..FrameworkInfo::default() }
    }

    fn reads_files(&self) -> bool {
        true
    }

    fn is_atomic(&self) -> bool {
        self.is_atomic
    }

    fn read(&'static self, project: &config::Project) -> Result<Manifest, Failure> {
        self.manifest(&project.files)
    }

    fn staleness(&'static self, manifest: &Manifest, project: &config::Project) -> Option<String> {
        match self.manifest(&project.files) {
            Ok(on_disk) => listing::difference(manifest, &on_disk),
            Err(failure) => Some(chain(&failure)),
        }
    }

    fn migrate(&self, _: &config::Project, _: &[String], _: StopPolicy) -> Result<Vec<String>, Failure> {
        Err(Failure::ConfigLacks {
            what: format!("applying the migrations of {}", self.title),
            needs: "[migrations] apply.run",
        })
    }

    fn read_line<'a>(&self, line: &'a str) -> Option<Progress<'a>> {
        (self.read_line)(line)
    }
}

impl FileLedger {
    /// The manifest of the files on disk, without tables.
    fn manifest(&'static self, settings: &LedgerFiles) -> Result<Manifest, Failure> {
        let mut manifest = Manifest::new(self, Expected::default(), Expected::default());
        manifest.shared.migrations = self.expected(&settings.shared, settings, &mut manifest)?;
        manifest.tenant.migrations = self.expected(&settings.tenant, settings, &mut manifest)?;
        manifest.ledger = settings.layout.clone();
        Ok(manifest)
    }

    /// The migrations in these folders together, and in these lists.
    fn expected(
        &self,
        places: &[PathBuf],
        settings: &LedgerFiles,
        manifest: &mut Manifest,
    ) -> Result<Vec<Migration>, Failure> {
        let (mut folders, mut files, mut migrations) = (0, Vec::new(), Vec::new());
        for place in places {
            let unreadable = |why| Failure::MigrationsUnreadable { path: place.clone(), why };
            let read = if listing::is_file(place).map_err(unreadable)? {
                let (listed, source) = list::read(place).map_err(unreadable)?;
                migrations.extend(listed);
                source
            } else {
                let (found, source) = self.folder(place, settings).map_err(unreadable)?;
                files.extend(found);
                folders += 1;
                source
            };
            manifest.sources.insert(place.display().to_string(), read);
        }
        let unreadable = |why| {
            let path = places.first().cloned().unwrap_or_default();
            Failure::MigrationsUnreadable { path, why }
        };
        if folders > 0 {
            migrations.extend((self.read)(&files).map_err(unreadable)?);
            for file in files.iter().filter(|file| file.leaves_transaction()) {
                manifest.not_atomic.extend((self.ids)(file).map_err(unreadable)?);
            }
        }
        list::refuse_duplicates(&migrations).map_err(unreadable)?;
        if settings.latest {
            list::chain(&mut migrations);
        }
        Ok(migrations)
    }

    fn folder(&self, folder: &Path, settings: &LedgerFiles) -> Result<(Vec<SourceFile>, Sources), String> {
        if !settings.patterns.is_empty() {
            return listing::read(folder, &settings.patterns, settings.recorded_as.as_ref());
        }
        let patterns: Vec<FilePattern> =
            self.files.iter().map(|text| FilePattern::parse(text)).collect::<Result<_, _>>()?;
        listing::read(folder, &patterns, self.recorded_as.map(IdTemplate::parse).transpose()?.as_ref())
    }
}

fn is_pruned(id: &str, expected: &[Migration]) -> bool {
    let is_later =
        |time| expected.iter().all(|migration| time_of(&migration.id).is_some_and(|other| time < other));
    time_of(id).is_some_and(is_later)
}

/// The time with which an identifier begins, as in `20240101000001` and `2024_01_01_000001_name`.
fn time_of(id: &str) -> Option<u64> {
    const DIGITS: usize = 14;
    let time = id.chars().take_while(|c| c.is_ascii_digit() || *c == '_').filter(char::is_ascii_digit);
    time.take(DIGITS).collect::<String>().parse().ok()
}

#[cfg(test)]
mod tests;
