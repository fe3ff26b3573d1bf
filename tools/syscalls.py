"""Which system calls a sandboxed Python program may make, as a seccomp program in the kernel's own bytes (BPF).

An allow-list: one process and one thread that computes, prints, reads what it may open, and writes in its own folder.
Everything else fails: with EPERM where a program could mean it, so that Python says PermissionError, and with ENOSYS
where the C library has a fall-back. ``sandbox`` compiles it and ``jail`` installs it. See seccomp_rule_add(3) of
libseccomp.
"""

from __future__ import annotations

import errno
import functools
import os
import socket
import tempfile

ALLOWED = """
    access arch_prctl brk chdir clock_getres clock_gettime clock_nanosleep close close_range dup dup2 dup3
    epoll_create1 epoll_ctl epoll_pwait epoll_wait eventfd2 exit exit_group faccessat faccessat2 fchdir fdatasync
    flock fstat fsync ftruncate futex get_robust_list getcpu getcwd getdents64 getegid geteuid getgid getgroups
    getitimer getpeername getpgid getpgrp getpid getppid getrandom getresgid getresuid getrlimit getrusage getsid
    getsockname getsockopt gettid gettimeofday getuid lseek lstat madvise membarrier mincore mmap mprotect mremap
    msync munmap nanosleep newfstatat pause pipe pipe2 poll ppoll pread64 preadv preadv2 pselect6 pwrite64 pwritev
    pwritev2 read readv recvfrom rename renameat renameat2 restart_syscall rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigreturn rt_sigsuspend rt_sigtimedwait sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getparam sched_getscheduler sched_yield select sendfile set_robust_list set_tid_address
    setitimer shutdown sigaltstack stat statx sysinfo time times uname unlink unlinkat write writev
"""
"""Allowed with any arguments. Which files they reach is for Landlock or the mount namespace to say."""

REFUSED = """
    accept accept4 bind capset chmod chown chroot clone connect creat execve execveat fchmod fchmodat fchmodat2
    fchown fchownat fork io_uring_setup kill lchown link linkat listen mkdir mkdirat mknod mknodat mount
    open_by_handle_at pidfd_open pidfd_send_signal pivot_root prctl process_vm_readv process_vm_writev ptrace
    readlink readlinkat rt_sigqueueinfo rt_tgsigqueueinfo sendmmsg sendmsg setgid setns setpriority setresgid
    setresuid setrlimit setsid setuid setxattr socket symlink symlinkat tgkill tkill truncate umount2 unshare
    utimensat vfork
"""
"""Answered with EPERM. Landlock governs neither chmod, chown, times and links nor signals before its sixth version; new
folders are refused because one flat folder can be measured and removed at a glance."""

_Condition = tuple[int, str, int, int]  # argument's position, EQ, NE or MASKED_EQ, value or mask, value under the mask
_TERMINAL_AND_FLAGS = (0x5401, 0x5450, 0x5451, 0x5421, 0x541B)  # TCGETS FIONCLEX FIOCLEX FIONBIO FIONREAD
_DESCRIPTORS_AND_LOCKS = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030)  # F_DUPFD .. F_SETLKW, F_OFD_*, F_DUPFD_CLOEXEC


class SeccompMissing(Exception):
    """The seccomp program cannot be built here; the message says what to install."""


def _conditional() -> list[tuple[bool, str, list[_Condition]]]:
    """(allowed, system call, conditions that must all hold)."""
    rules: list[tuple[bool, str, list[_Condition]]] = []
    for name, flags in (("openat", 2), ("open", 1)):
        # All but O_RDONLY | O_TRUNC, which before Landlock's third version empties a file that may only be read.
        rules += [(True, name, [(flags, "MASKED_EQ", os.O_TRUNC, 0)])]
        rules += [(True, name, [(flags, "MASKED_EQ", os.O_ACCMODE, mode)]) for mode in (os.O_WRONLY, os.O_RDWR)]
        rules += [(False, name, [(flags, "MASKED_EQ", os.O_ACCMODE | os.O_TRUNC, os.O_TRUNC)])]
    rules += [(True, "ioctl", [(1, "EQ", request, 0)]) for request in _TERMINAL_AND_FLAGS]
    # Not F_SETOWN: with it the kernel would signal another process.
    rules += [(True, "fcntl", [(1, "EQ", command, 0)]) for command in _DESCRIPTORS_AND_LOCKS]
    # A limit may be read, not set.
    rules += [(True, "prlimit64", [(2, "EQ", 0, 0)]), (False, "prlimit64", [(2, "NE", 0, 0)])]
    # What an event loop wakes itself up with: a connected pair, and sending on it without an address.
    rules += [(True, "socketpair", [(0, "EQ", socket.AF_UNIX, 0), (1, "MASKED_EQ", 0xF, socket.SOCK_STREAM)])]
    rules += [(True, "sendto", [(4, "EQ", 0, 0)]), (False, "sendto", [(4, "NE", 0, 0)])]
    return rules


@functools.cache
def program() -> bytes:
    """The filter as an array of ``struct sock_filter`` (8 bytes each), for this machine's architecture.

    Raises SeccompMissing: libseccomp or its binding is not installed.
    """
    try:
        import pyseccomp as scmp
    except (ImportError, RuntimeError, OSError) as error:
        raise SeccompMissing("libseccomp is missing; install it (Debian: apt-get install libseccomp2).") from error

    rules = scmp.SyscallFilter(defaction=scmp.ERRNO(errno.ENOSYS))
    plain = [(True, name, []) for name in ALLOWED.split()] + [(False, name, []) for name in REFUSED.split()]
    for allowed, name, conditions in plain + _conditional():
        if scmp.resolve_syscall(scmp.Arch.NATIVE, name) >= 0:  # negative: not on this architecture, or not known yet
            arguments = [scmp.Arg(place, getattr(scmp, kind), a, b) for place, kind, a, b in conditions]
            rules.add_rule(scmp.ALLOW if allowed else scmp.ERRNO(errno.EPERM), name, *arguments)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
