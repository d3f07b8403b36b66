//! Old container engines refuse the newer system calls, some with ENOSYS, some with EPERM.

use std::os::unix::process::CommandExt;

use super::namespace::{pid_1, stdout};
use assert_cmd::assert::OutputAssertExt;

/// `pidfd_send_signal`, `pidfd_open`, `clone3`, `close_range`: the same numbers on every architecture.
const REFUSED: [u32; 4] = [424, 434, 435, 436];

/// Makes the calls above fail with `errno` in this process and its children.
fn refuse(errno: i32) -> std::io::Result<()> {
    let statement = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let (load, equals, answer) = (0x20, 0x15, 0x06);
    let error = 0x0005_0000 | errno.cast_unsigned();
    let allow = 0x7fff_0000;
    let mut program = [
        statement(load, 0, 0, 0),
        statement(equals, 4, 0, REFUSED[0]),
        statement(equals, 3, 0, REFUSED[1]),
        statement(equals, 2, 0, REFUSED[2]),
        statement(equals, 1, 0, REFUSED[3]),
        statement(answer, 0, 0, allow),
        statement(answer, 0, 0, error),
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
        let server = "pgrep -c -x sleep; exec $PORTCULLIS init -- sh -c 'until [ $(ls /proc/1/fd | wc -l) = 3 ]; do :; done'";
        let mut command = pid_1(&["portcullis", "run", "--config", config, "--", "sh", "-c", server]);
        // SAFETY: `refuse` makes async-signal-safe calls only.
        unsafe { command.pre_exec(move || refuse(errno)) };
        let ran = command.assert().code(0);
        assert!(stdout(&ran).ends_with("0\n"), "{errno}: {}", stdout(&ran));
    }
}
