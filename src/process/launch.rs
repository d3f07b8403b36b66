//! Starts one process with exactly the requested state. std's spawn passes on this process's blocked signals, and
//! glibc's posix_spawn leaves signals 32 and 33 ignored. So this uses `clone(VM | VFORK)`: it is as fast, and the
//! child reports errors through shared memory. Between clone and exec, the child makes system calls only, because
//! other threads may hold any lock.

use std::{
    cell::Cell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    io, ptr,
};

use super::{
    arguments::pointers,
    dispositions,
    environment::{ExecEnvironment, ListenPid},
    privileges::Privileges,
    program::Program,
    signals::{self, SignalSet},
};

/// Enough for the child's code, unoptimized, plus a signal frame.
const STACK_BYTES: usize = 64 * 1024;

/// The descriptor to which a program writes the variables that it exports.
const EXPORTS: c_int = 3;

/// The process to start.
pub(super) struct Launch<'a> {
    pub(super) argv: &'a [CString],
    /// Without a stub, the program is searched in PATH.
    pub(super) stub: Option<&'a Stub<'a>>,
    pub(super) cwd: Option<&'a CStr>,
    pub(super) place: SessionPlacement,
    pub(super) mask: SignalSet,
    /// Ignored in the child; every other signal gets its default disposition.
    pub(super) ignored: SignalSet,
    /// Closed in the child.
    pub(super) closed: &'a [c_int],
    /// Becomes the child's descriptor [`EXPORTS`].
    pub(super) exports: Option<c_int>,
    /// Added to this process's environment if no stub is used.
    pub(super) variables: &'a [(String, String)],
    pub(super) privileges: &'a Privileges,
    /// The sockets that systemd or podman passed are for the child: LISTEN_PID must name it.
    pub(super) takes_sockets: bool,
}

/// The additional parameters of a step's stub.
pub(super) struct Stub<'a> {
    /// Tried in this order.
    pub(super) programs: &'a [&'a CStr],
    pub(super) environment: &'a [CString],
    /// The descriptors 0, 1 and 2 of the stub.
    pub(super) stdio: [c_int; 3],
    /// A descriptor that stays open in the stub.
    pub(super) status_fd: c_int,
    /// The same, for the variables that the program exports.
    pub(super) exports_fd: Option<c_int>,
    /// The signal that the stub receives when the thread that starts it ends.
    pub(super) parent_death: c_int,
}

/// The child's session and process group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionPlacement {
    /// A new process group.
    Group,
    /// A new process group, which is the terminal's foreground group.
    ForegroundGroup,
    Session,
    /// A new session, with standard input as its controlling terminal.
    SessionWithTerminal,
}

/// The child could not execute the program.
#[derive(Debug)]
pub(super) struct NotLaunched {
    pub(super) at: Stage,
    pub(super) source: io::Error,
}

/// The last step of a child that could not execute its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Streams,
    Directory,
    Privileges,
    Exec,
}

/// Returns the child's id once it runs the program. Blocks until then.
pub(super) fn launch(launch: &Launch) -> io::Result<Result<i32, NotLaunched>> {
    let launched = launch_file(launch)?;
    if let Err(not) = &launched
        && not.source.raw_os_error() == Some(libc::ENOEXEC)
        && launch.stub.is_none()
        && let Some(argv) = Program::named(&launch.argv[0], launch.variables).as_script(launch.argv)
    {
        return launch_file(&Launch { argv: &argv, ..*launch });
    }
    Ok(launched)
}

fn launch_file(launch: &Launch) -> io::Result<Result<i32, NotLaunched>> {
    let argv = pointers(launch.argv);
    let listen_pid = ListenPid::default();
    let (stubs, mut own_environment);
    let environment = if let Some(stub) = launch.stub {
        stubs = pointers(stub.environment);
        &stubs[..]
    } else {
        own_environment = ExecEnvironment::with(launch.variables)?;
        if launch.takes_sockets {
            own_environment.replace_listen_pid(&listen_pid);
        }
        own_environment.entries()
    };
    let child = Shared {
        launch,
        program: &Program::named(&launch.argv[0], launch.variables),
        argv: &argv,
        environment,
        listen_pid: &listen_pid,
        ignored_now: dispositions::ignored_now(),
        failed: Cell::new(None),
    };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK_BYTES / size_of::<u128>() + argv.len());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from the end of an allocation that outlives the child's use of it, as does
    // `child`: VFORK suspends this process until the child execs or exits. The vector's buffer is aligned to 16
    // bytes.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(run, top.cast(), flags, (&raw const child).cast_mut().cast())
    };
    if pid == -1 {
        return Err(io::Error::last_os_error());
    }
    let Some((at, errno)) = child.failed.get() else {
        return Ok(Ok(pid));
    };
    // The child has already exited and its id is unknown elsewhere: the reaper must not take it for an orphan.
    // SAFETY: no status is requested.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
    Ok(Err(NotLaunched { at, source: io::Error::from_raw_os_error(errno) }))
}

/// The state that parent and child share while the parent is suspended.
struct Shared<'a> {
    launch: &'a Launch<'a>,
    program: &'a Program,
    argv: &'a [*const c_char],
    environment: &'a [*const c_char],
    listen_pid: &'a ListenPid,
    ignored_now: SignalSet,
    /// The error number of the child.
    failed: Cell<Option<(Stage, c_int)>>,
}

extern "C" fn run(shared: *mut c_void) -> c_int {
    // SAFETY: `launch` passes a live `Shared` and is suspended until this ends.
    let child = unsafe { &*shared.cast::<Shared>() };
    let (at, errno) = become_program(child);
    child.failed.set(Some((at, errno)));
    // A kernel that copies the memory instead of sharing it still reports this code.
    // SAFETY: ends the child without running any code of the parent.
    unsafe { libc::_exit(if errno == libc::ENOENT { 127 } else { 126 }) }
}

/// Returns only the error.
fn become_program(child: &Shared) -> (Stage, c_int) {
    let launch = child.launch;
    apply_placement(launch.place);
    // SAFETY: system calls on the child's own copy of the descriptors and attributes, with live arguments.
    unsafe {
        if let Some(stub) = launch.stub {
            libc::prctl(libc::PR_SET_PDEATHSIG, stub.parent_death);
            for (target, source) in (0..).zip(stub.stdio) {
                if libc::dup2(source, target) == -1 {
                    return (Stage::Streams, errno());
                }
            }
            for descriptor in [Some(stub.status_fd), stub.exports_fd].into_iter().flatten() {
                libc::fcntl(descriptor, libc::F_SETFD, 0);
            }
        }
        for descriptor in launch.closed {
            libc::close(*descriptor);
        }
        match launch.exports {
            Some(EXPORTS) => drop(libc::fcntl(EXPORTS, libc::F_SETFD, 0)),
            Some(descriptor) if libc::dup2(descriptor, EXPORTS) == -1 => return (Stage::Streams, errno()),
            _ => {}
        }
        if let Some(cwd) = launch.cwd
            && libc::chdir(cwd.as_ptr()) == -1
        {
            return (Stage::Directory, errno());
        }
    }
    for signal in child.ignored_now.without(launch.ignored).iter() {
        signals::set_default(signal);
    }
    // Includes 33, which the C library uses once a thread has existed.
    launch.ignored.iter().for_each(signals::set_ignored);
    signals::swap_mask(launch.mask);
    if let Err(errno) = launch.privileges.assume() {
        return (Stage::Privileges, errno);
    }
    let Some(stub) = launch.stub else {
        // SAFETY: reads an id.
        child.listen_pid.set(unsafe { libc::getpid() });
        return (Stage::Exec, child.program.exec(child.argv, child.environment));
    };
    for program in stub.programs {
        // SAFETY: every array ends with a null pointer.
        unsafe { libc::execve(program.as_ptr(), child.argv.as_ptr(), child.environment.as_ptr()) };
    }
    (Stage::Exec, errno())
}

/// A process that already leads, or has no terminal, stays unchanged.
fn apply_placement(place: SessionPlacement) {
    // SAFETY: system calls on the child itself; TTOU is blocked, so that a background group may call tcsetpgrp.
    unsafe {
        match place {
            SessionPlacement::Group | SessionPlacement::ForegroundGroup => {
                libc::setpgid(0, 0);
                if place == SessionPlacement::ForegroundGroup {
                    libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpid());
                }
            }
            SessionPlacement::Session | SessionPlacement::SessionWithTerminal => {
                libc::setsid();
                if place == SessionPlacement::SessionWithTerminal {
                    libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0);
                }
            }
        }
    }
}

fn errno() -> c_int {
    io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
