import pytest

from tools.sandbox import Limits, SandboxUnavailable, Tier, run_in
from tools.syscalls import ALLOWED, REFUSED, program

LIMITS = Limits(seconds=60.0)
DANGEROUS = """
    add_key bind bpf capset chmod chown chroot clone clone3 connect execve execveat fchmodat2 fork init_module
    io_uring_setup keyctl kill link linkat listen memfd_create mkdir mknodat mount name_to_handle_at open_by_handle_at
    perf_event_open pidfd_getfd pidfd_open pidfd_send_signal prctl process_vm_readv process_vm_writev ptrace reboot
    sendmmsg sendmsg setns setrlimit setuid setxattr shmget socket symlink tgkill tkill truncate umount2 unshare
    userfaultfd utimensat vfork
"""
TRIES = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {numbers!r}.items():
    ctypes.set_errno(0)
    result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
    if result != -1 or ctypes.get_errno() not in (1, 38):
        print(name, result, ctypes.get_errno())
"""


@pytest.fixture(params=[Tier.BUBBLEWRAP, Tier.LANDLOCK])
async def tier(request):
    try:
        await run_in(request.param, "", LIMITS)
    except SandboxUnavailable as error:
        pytest.skip(f"{request.param} does not work on this machine: {error}")
    return request.param


def test_the_program_is_whole_instructions_and_no_call_is_both_allowed_and_refused():
    assert len(program()) % 8 == 0
    assert not set(ALLOWED.split()) & set(REFUSED.split())


async def test_dangerous_calls_fail_when_made_directly(tier):
    scmp = pytest.importorskip("pyseccomp")
    numbers = {name: scmp.resolve_syscall(scmp.Arch.NATIVE, name) for name in DANGEROUS.split()}
    known = {name: number for name, number in numbers.items() if number >= 0}
    outcome = await run_in(tier, TRIES.format(numbers=known), LIMITS)
    assert (outcome.output, outcome.error) == ("", None)


@pytest.mark.parametrize(
    ("allowed", "refused"),
    [
        ("import resource; resource.getrlimit(resource.RLIMIT_AS)", "import resource; resource.setrlimit(4, (0, 0))"),
        ("import socket; socket.socketpair()", "import socket; socket.socketpair(type=socket.SOCK_DGRAM)"),
        (
            "import socket; a, b = socket.socketpair(); a.send(b'x')",
            "import socket; a, b = socket.socketpair(); a.sendto(b'x', '/x')",
        ),
        ("import fcntl; fcntl.fcntl(1, fcntl.F_GETFL)", "import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, 1)"),
        ("import os; os.isatty(1)", "import fcntl, termios; fcntl.ioctl(1, termios.TIOCSTI, b'x')"),
        (
            "import os; os.open('x', os.O_CREAT | os.O_WRONLY | os.O_TRUNC)",
            "import os; open('x', 'w').close(); os.open('x', os.O_RDONLY | os.O_TRUNC)",
        ),
    ],
)
async def test_some_calls_are_allowed_with_harmless_arguments_only(tier, allowed, refused):
    assert (await run_in(tier, allowed, LIMITS)).error is None
    assert (await run_in(tier, refused, LIMITS)).error is not None
