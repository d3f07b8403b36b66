//! Many real containers at once on one PostgreSQL.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::image::Image;
use crate::{
    run::{cooperate::twelve, lock::slow},
    support::{
        process::{Outcome, Running},
        project::Project,
        proxy::Proxy,
    },
};

const SERVER: &str = "command = [\"/busybox\", \"echo\", \"the server started\"]";

/// Containers of one image, with the project's folder mounted; dropped, they are removed.
struct Replicas<'a> {
    image: &'a Image,
    project: &'a Project,
    running: Vec<(String, Running)>,
}

impl<'a> Replicas<'a> {
    fn start(image: &'a Image, project: &'a Project, url: &str, how_many: usize) -> Self {
        let mut replicas = Self { image, project, running: Vec::new() };
        for number in 0..how_many {
            let name = format!("{}-replica-{number}", image.short());
            let mut command = Command::new("podman");
            command
                .env("CONTAINERS_CONF", image.containers_conf())
                .args(["run", "--rm", "--name", &name, "--network=host", "--read-only"])
                .args(["--user=65532:65532", "--cap-drop=all", "--security-opt=no-new-privileges"])
                .arg(format!("--volume={}:/app:ro", project.portcullis.folder().display()))
                .arg(format!("--env=DATABASE_URL={url}"))
                .args(["--workdir=/app", image.name(), "run"]);
            replicas.running.push((name, Running::start(command, false)));
        }
        replicas
    }

    /// Returns once so many have said this.
    #[track_caller]
    fn until(&self, how_many: usize, text: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let said = || self.running.iter().filter(|(_, replica)| replica.has_said(text)).count();
        while said() < how_many {
            assert!(Instant::now() < deadline, "{} of {how_many} have said {text:?}", said());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Nobody serves, or could.
    #[track_caller]
    fn none_serves(&self) {
        for (_, replica) in &self.running {
            assert!(!replica.has_said("the server started"));
        }
    }

    fn kill(&self, name: &str) {
        let mut command = Command::new("podman");
        command.env("CONTAINERS_CONF", self.image.containers_conf()).args(["kill", "--signal=KILL", name]);
        Running::start(command, false).wait().exits(0);
    }

    fn go_on(&self) {
        self.project.database.execute("INSERT INTO public.go_on VALUES (1)");
    }

    fn wait(&mut self) -> Vec<Outcome> {
        self.running.drain(..).map(|(_, replica)| replica.wait()).collect()
    }
}

impl Drop for Replicas<'_> {
    fn drop(&mut self) {
        for (name, _) in &self.running {
            let _ = Command::new("podman").args(["rm", "--force", "--time=0", name]).output();
        }
    }
}

/// The project with a server that the image has.
fn containers(project: Project) -> (Image, Project) {
    let project = project.replace("command = [\"echo\", \"the server started\"]", SERVER);
    (Image::bare(""), project)
}

/// Every tenant's work was done once.
#[track_caller]
fn done_once(project: &Project) {
    for (tenant, rows) in [("a", vec!["1", "2"]), ("b", vec!["2"]), ("c", vec!["2"])] {
        assert_eq!(project.database.column(&format!("SELECT n::text FROM {tenant}.item ORDER BY 1")), rows);
    }
}

#[test]
fn of_ten_containers_one_does_the_work_and_all_serve_when_it_is_done() {
    let (image, project) = containers(slow());
    let mut replicas = Replicas::start(&image, &project, &project.database.url(), 10);
    project.until_running("until it may go on");
    replicas.until(9, "waiting for the lock: portcullis ");
    replicas.none_serves();
    replicas.go_on();
    for outcome in replicas.wait() {
        outcome.exits(0).says("gate: ok").says("the server started");
    }
    done_once(&project);
}

#[test]
fn when_the_holders_container_is_killed_another_goes_on_and_nothing_is_done_twice() {
    let (image, project) = containers(slow());
    let mut replicas = Replicas::start(&image, &project, &project.database.url(), 4);
    project.until_running("until it may go on");
    replicas.until(3, "waiting for the lock: portcullis ");
    let holder = replicas
        .running
        .iter()
        .position(|(_, replica)| !replica.has_said("waiting for the lock"))
        .expect("one of them holds it");
    let (name, killed) = replicas.running.remove(holder);
    let run = "SELECT application_name FROM pg_stat_activity WHERE datname = current_database() \
               AND application_name LIKE 'portcullis % since %'";
    let first = project.database.column(run);
    replicas.kill(&name);
    killed.wait().exits(137);
    project.until(true, &format!("{run} AND application_name <> '{}'", first[0]));
    replicas.none_serves();
    replicas.go_on();
    for outcome in replicas.wait() {
        outcome.exits(0).says("the server started");
    }
    done_once(&project);
}

#[test]
fn a_container_that_is_cut_off_from_the_database_stops_and_does_not_serve() {
    let (image, project) = containers(slow());
    let url = project.database.url();
    let server = url.rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let proxy = Proxy::to(server.rsplit_once(':').unwrap().1.parse().unwrap());
    let through = url.replace(&server, &format!("127.0.0.1:{}", proxy.port()));
    let mut cut = Replicas::start(&image, &project, &through, 1);
    project.until_running("until it may go on");
    proxy.block();
    let outcome = cut.wait().remove(0).exits(75).says("the lock was lost").says_not("the server started");
    assert!(outcome.failure_box().contains("lock-lost"), "{outcome}");
    // The forwarder's own system still answers for the container; a real network would not.
    proxy.give_up();
    cut.go_on();
    let mut next = Replicas::start(&image, &project, &url, 1);
    next.wait().remove(0).exits(0).says("the server started");
    done_once(&project);
}

#[test]
fn containers_that_cooperate_share_the_tenants_out() {
    let (image, project) = containers(twelve("jobs = 2, cooperate = true"));
    let mut replicas = Replicas::start(&image, &project, &project.database.url(), 3);
    crate::run::cooperate::until_at_work(&project, 3);
    replicas.none_serves();
    crate::run::cooperate::meet(&project);
    for outcome in replicas.wait() {
        outcome.exits(0).says("the server started");
    }
    crate::run::cooperate::each_once(&project);
}
