//! Starts one process with exactly the state that is asked for.
//!
//! std's spawn passes our blocked signals on and glibc's posix_spawn leaves signals 32 and 33 ignored, so this is
//! `clone(VM | VFORK)`: as quick as they are, and the child reports what it could not do through shared memory.
//! Between clone and exec the child makes system calls only: other threads may hold any lock.

use std::{
    cell::Cell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    io, ptr,
};

use super::{
    arguments::pointers,
    dispositions,
    environment::{ExecEnvironment, ListenPid},
    program::Program,
    signals::{self, SignalSet},
};

/// Enough for what the child does, unoptimized, with a signal's frame on top.
const STACK_BYTES: usize = 64 * 1024;

/// What to start and how.
pub(super) struct Launch<'a> {
    pub(super) argv: &'a [CString],
    /// Without it, the program is searched in PATH.
    pub(super) stub: Option<&'a Stub<'a>>,
    pub(super) cwd: Option<&'a CStr>,
    pub(super) place: SessionPlacement,
    pub(super) mask: SignalSet,
    /// Ignored in the child; every other signal gets its default disposition.
    pub(super) ignored: SignalSet,
    /// Closed in the child.
    pub(super) closed: &'a [c_int],
    /// Added to our environment where there is no stub.
    pub(super) variables: &'a [(String, String)],
    /// Sockets that systemd or podman passed to us are meant for the child: LISTEN_PID must name it.
    pub(super) takes_sockets: bool,
}

/// What the stub of a step gets beside its argv.
pub(super) struct Stub<'a> {
    /// Tried in turn.
    pub(super) programs: &'a [&'a CStr],
    pub(super) environment: &'a [CString],
    /// For its descriptors 0, 1 and 2.
    pub(super) stdio: [c_int; 3],
    /// Stays open in it.
    pub(super) kept: c_int,
    /// Sent to it when the thread that starts it ends.
    pub(super) parent_death: c_int,
}

/// The child's session and process group.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionPlacement {
    /// A process group of its own.
    Group,
    /// The same, and it is the terminal's foreground group.
    ForegroundGroup,
    Session,
    /// The same, and its standard input becomes its controlling terminal.
    SessionWithTerminal,
}

/// The child could not become the program.
#[derive(Debug)]
pub(super) struct NotLaunched {
    /// It was the program itself rather than its working directory.
    pub(super) at_exec: bool,
    pub(super) source: io::Error,
}

/// Returns the child's id once it runs the program. Blocks until then.
pub(super) fn launch(launch: &Launch) -> io::Result<Result<i32, NotLaunched>> {
    let launched = launch_file(launch)?;
    if let Err(not) = &launched
        && not.source.raw_os_error() == Some(libc::ENOEXEC)
        && launch.stub.is_none()
        && let Some(argv) = Program::named(&launch.argv[0]).as_script(launch.argv)
    {
        return launch_file(&Launch { argv: &argv, ..*launch });
    }
    Ok(launched)
}

fn launch_file(launch: &Launch) -> io::Result<Result<i32, NotLaunched>> {
    let argv = pointers(launch.argv);
    let listen_pid = ListenPid::default();
    let (stubs, mut ours);
    let environment = if let Some(stub) = launch.stub {
        stubs = pointers(stub.environment);
        &stubs[..]
    } else {
        ours = ExecEnvironment::with(launch.variables)?;
        if launch.takes_sockets {
            ours.replace_listen_pid(&listen_pid);
        }
        ours.entries()
    };
    let child = Shared {
        launch,
        program: &Program::named(&launch.argv[0]),
        argv: &argv,
        environment,
        listen_pid: &listen_pid,
        ignored_now: dispositions::ignored_now(),
        failed: Cell::new(None),
    };
    let mut stack: Vec<u128> = Vec::with_capacity(STACK_BYTES / size_of::<u128>() + argv.len());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack grows down from the end of an allocation that outlives the child's use of it, as does
    // `child`: VFORK suspends us until the child execs or exits. The vector's buffer is aligned to 16 bytes.
    let pid = unsafe {
        let top = stack.as_mut_ptr().add(stack.capacity());
        libc::clone(run, top.cast(), flags, (&raw const child).cast_mut().cast())
    };
    if pid == -1 {
        return Err(io::Error::last_os_error());
    }
    let Some((at_exec, errno)) = child.failed.get() else {
        return Ok(Ok(pid));
    };
    // It has exited already, and nobody knows this id: the reaper must not take it for an orphan.
    // SAFETY: the status is not asked for.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
    Ok(Err(NotLaunched { at_exec, source: io::Error::from_raw_os_error(errno) }))
}

/// What parent and child share while the parent is suspended.
struct Shared<'a> {
    launch: &'a Launch<'a>,
    program: &'a Program,
    argv: &'a [*const c_char],
    environment: &'a [*const c_char],
    listen_pid: &'a ListenPid,
    ignored_now: SignalSet,
    /// Whether it came as far as exec, and the error's number.
    failed: Cell<Option<(bool, c_int)>>,
}

extern "C" fn run(shared: *mut c_void) -> c_int {
    // SAFETY: `launch` passes a live `Shared` and is suspended until this ends.
    let child = unsafe { &*shared.cast::<Shared>() };
    let (at_exec, errno) = become_program(child);
    child.failed.set(Some((at_exec, errno)));
    // A kernel that copies the memory instead of sharing it still says this much.
    // SAFETY: ends the child without running anything of the parent's.
    unsafe { libc::_exit(if errno == libc::ENOENT { 127 } else { 126 }) }
}

/// Returns only what went wrong.
fn become_program(child: &Shared) -> (bool, c_int) {
    let launch = child.launch;
    take_place(launch.place);
    // SAFETY: system calls on the child's own copy of the descriptors and attributes, with live arguments.
    unsafe {
        if let Some(stub) = launch.stub {
            libc::prctl(libc::PR_SET_PDEATHSIG, stub.parent_death);
            for (target, source) in (0..).zip(stub.stdio) {
                if libc::dup2(source, target) == -1 {
                    return (false, errno());
                }
            }
            libc::fcntl(stub.kept, libc::F_SETFD, 0);
        }
        for descriptor in launch.closed {
            libc::close(*descriptor);
        }
        if let Some(cwd) = launch.cwd
            && libc::chdir(cwd.as_ptr()) == -1
        {
            return (false, errno());
        }
    }
    for signal in child.ignored_now.without(launch.ignored).iter() {
        signals::set_default(signal);
    }
    // All of them: the C library takes 33 for itself as soon as there was a thread.
    launch.ignored.iter().for_each(signals::set_ignored);
    signals::swap_mask(launch.mask);
    let Some(stub) = launch.stub else {
        // SAFETY: asks for an id.
        child.listen_pid.set(unsafe { libc::getpid() });
        return (true, child.program.exec(child.argv, child.environment));
    };
    for program in stub.programs {
        // SAFETY: every array ends with a null pointer.
        unsafe { libc::execve(program.as_ptr(), child.argv.as_ptr(), child.environment.as_ptr()) };
    }
    (true, errno())
}

/// A process that leads already, or has no terminal, stays as it is.
fn take_place(place: SessionPlacement) {
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
