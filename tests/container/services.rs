//! PostgreSQL and Redis as images, out of this machine's own packages: what a registry would give.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::image::Image;

/// What the well-known image makes of its variables.
const DATABASE: &str = r#"#!/bin/busybox sh
set -e
export PATH=BIN:/bin PGDATA=/var/lib/postgresql/data LC_ALL=C
if [ ! -e "$PGDATA/PG_VERSION" ]; then
  initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 --encoding=UTF8 --no-sync > /dev/null
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  echo "CREATE DATABASE \"$POSTGRES_DB\"" | postgres --single -j postgres > /dev/null
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off
"#;

pub fn postgres() -> Image {
    let image = Image::in_a_folder();
    let root = image.folder().join("root");
    let bin = fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap().path().join("bin");
    let version = bin.parent().unwrap().file_name().unwrap().to_owned();
    let libraries = bin.with_file_name("lib");
    copy_all(&root, &[bin.join("postgres"), bin.join("initdb"), "/bin/busybox".into()]);
    copy_all(&root, &[libraries.join("plpgsql.so"), libraries.join("dict_snowball.so")]);
    copy(&root, &Path::new("/usr/share/postgresql").join(version));
    copy(&root, Path::new("/usr/share/zoneinfo/UTC"));
    fs::create_dir_all(root.join("data")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    std::os::unix::fs::symlink("busybox", root.join("bin/sh")).unwrap();
    fs::write(root.join("etc/passwd"), "postgres:x:999:999::/data:/bin/sh\n").unwrap();
    fs::write(root.join("start"), DATABASE.replace("BIN", bin.to_str().unwrap())).unwrap();
    image.made_of(
        "COPY root/ /\nCOPY --chown=999:999 root/data /var/lib/postgresql/data\nCOPY --chown=999:999 root/data /tmp\n\
         USER 999:999\nENTRYPOINT [\"/bin/busybox\", \"sh\", \"/start\"]\n",
    )
}

pub fn redis() -> Image {
    let image = Image::in_a_folder();
    copy_all(&image.folder().join("root"), &["/usr/bin/redis-server".into()]);
    image.made_of(
        "COPY root/ /\nUSER 999:999\nENTRYPOINT [\"/usr/bin/redis-server\", \"--protected-mode\", \"no\", \"--save\", \"\"]\n",
    )
}

/// The files, and the libraries that they are linked with.
fn copy_all(root: &Path, files: &[PathBuf]) {
    let mut wanted: BTreeSet<PathBuf> = files.iter().cloned().collect();
    for file in files {
        let listed = Command::new("ldd").arg(file).output().unwrap();
        let listed = String::from_utf8(listed.stdout).unwrap();
        wanted.extend(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    }
    for file in wanted {
        copy(root, &file);
    }
}

/// To the same place below the root.
fn copy(root: &Path, path: &Path) {
    let place = root.join(path.strip_prefix("/").unwrap());
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    assert!(
        Command::new("cp").arg("-RL").arg(path).arg(&place).status().unwrap().success(),
        "{}",
        path.display()
    );
}
