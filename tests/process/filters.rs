//! Old container engines refuse the newer system calls, some with ENOSYS, some with EPERM.

use std::os::unix::process::CommandExt;

use super::namespace::{pid_1, stdout};
use assert_cmd::assert::OutputAssertExt;

/// `pidfd_send_signal`, `pidfd_open`, `clone3`, `close_range`: the same numbers on every architecture.
const REFUSED: [u32; 4] = [424, 434, 435, 436];

/// Makes the calls above fail with `errno` in this process and its children.
fn refuse(errno: i32) -> std::io::Result<()> {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let (load, equals, ret) = (0x20, 0x15, 0x06);
    let error = 0x0005_0000 | errno.cast_unsigned();
    let allow = 0x7fff_0000;
    let mut program = [
        statement(load, 0, 0, 0),
        statement(equals, 4, 0, REFUSED[0]),
        statement(equals, 3, 0, REFUSED[1]),
        statement(equals, 2, 0, REFUSED[2]),
        statement(equals, 1, 0, REFUSED[3]),
        statement(ret, 0, 0, allow),
        statement(ret, 0, 0, error),
    ];
    let filter = libc::sock_fprog { len: 7, filter: program.as_mut_ptr() };
    // SAFETY: async-signal-safe calls with pointers to live values.
    let refused = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    };
    if refused == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

#[test]
fn init_and_steps_need_no_newer_system_call() {
    for errno in [libc::ENOSYS, libc::EPERM] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let step = "[[step]]\nname = \"one\"\ncommand = { run = [\"bash\", \"-c\", \"setsid sleep 1000 & exit 0\"], grace = \"200ms\" }\n";
        std::fs::write(file.path(), step).unwrap();
        let config = file.path().to_str().unwrap();
        let server = "pgrep -c -x sleep; exec $PORTCULLIS init -- sh -c 'until [ $(ls /proc/1/fd | wc -l) = 3 ]; do sleep 0.01; done'";
        let mut command = pid_1(&["portcullis", "run", "--config", config, "--", "sh", "-c", server]);
        // SAFETY: `refuse` makes async-signal-safe calls only.
        unsafe { command.pre_exec(move || refuse(errno)) };
        let ran = command.assert().code(0);
        assert!(stdout(&ran).ends_with("0\n"), "{errno}: {}", stdout(&ran));
    }
}

/// The command prefix that makes prctl fail; unshare itself needs prctl.
fn without_prctl() -> Vec<String> {
    let number = libc::SYS_prctl;
    let script = format!(
        "my $f = pack('SCCL', 0x20, 0, 0, 0) . pack('SCCL', 0x15, 0, 1, {number}) . \
         pack('SCCL', 6, 0, 0, 0x50001) . pack('SCCL', 6, 0, 0, 0x7fff0000); \
         my $p = pack('Sx6P', 4, $f); syscall({number}, 38, 1, 0, 0, 0); \
         syscall({number}, 22, 2, $p, 0, 0) == 0 or die; exec @ARGV"
    );
    vec!["perl".into(), "-e".into(), script]
}

/// A step, then a server.
fn start_without_prctl(around: &str) -> assert_cmd::assert::Assert {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[[step]]\nname = \"one\"\ncommand.run = [\"true\"]\n").unwrap();
    let words = without_prctl();
    let words: Vec<&str> = words.iter().map(String::as_str).chain(["bash", "-c", around]).collect();
    pid_1(&words).env("CONFIG", file.path()).assert()
}

#[test]
fn pid_1_needs_no_prctl() {
    let server = "setsid sleep 1000 & exec $PORTCULLIS init -- bash -c \"echo served; exit 3\"";
    let ran =
        start_without_prctl(&format!("exec $PORTCULLIS run --config $CONFIG -- bash -c '{server}'")).code(3);
    assert!(stdout(&ran).ends_with("served\n"), "{}", stdout(&ran));
    assert!(!String::from_utf8_lossy(&ran.get_output().stderr).contains("prctl"));
}

#[test]
fn a_refused_prctl_is_a_warning_when_not_pid_1() {
    for options in ["init", "run --config $CONFIG"] {
        let ran = start_without_prctl(&format!("$PORTCULLIS {options} -- bash -c 'exit 3'; exit $?")).code(3);
        let printed = String::from_utf8_lossy(&ran.get_output().stderr).into_owned();
        assert!(printed.contains("warning: prctl is denied"), "{options}: {printed}");
    }
}
