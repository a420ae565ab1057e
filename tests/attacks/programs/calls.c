// Makes system calls that no container needs, each so that the kernel refuses it by itself with something else than EPERM
// (or does what does no harm), and prints for each its name and its error: 0 for success.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long result(long value)
{
    return value < 0 ? errno : 0;
}

#if defined(__x86_64__)
static long i386(long number, long a, long b, long c)
{
    long value;
    __asm__ volatile("int $0x80" : "=a"(value) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
    return (int)value < 0 ? -(int)value : 0;
}

static unsigned *low(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
}

static long socketcall(int family)
{
    unsigned *args = low();
    args[0] = family, args[1] = 5, args[2] = 0;
    return i386(102, 1, (long)args, 0);
}
#endif

// In a child: what it does to itself is over with it, and a filter may kill it.
static void one(const char *name, long (*act)(void))
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(act());
    int status;
    waitpid(child, &status, 0);
    printf("%s %d\n", name, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

#define CALL(function, ...) static long function(void) { return result(syscall(__VA_ARGS__)); }
CALL(af_alg, SYS_socket, 38, 5, 0)
CALL(af_alg_high, SYS_socket, 0x100000026L, 5, 0)
CALL(af_vsock, SYS_socket, 40, 1, 0)
CALL(af_packet, SYS_socket, 17, 3, 0x0300)
CALL(sock_packet, SYS_socket, 2, 10, 0x0300)
CALL(raw, SYS_socket, 2, 3, 255)
CALL(raw_icmpv6, SYS_socket, 10, 3, 58)
CALL(uring, SYS_io_uring_setup, 1, NULL)
CALL(uring_enter, SYS_io_uring_enter, -1, 0, 0, 0, NULL, 0)
CALL(uffd, SYS_userfaultfd, O_NONBLOCK)
CALL(bpf, SYS_bpf, BPF_MAP_CREATE, NULL, 0)
CALL(keyctl, SYS_keyctl, 0, -3, 1)
CALL(add_key, SYS_add_key, "user", "attack", "x", 1, -1)
CALL(request_key, SYS_request_key, "user", "attack", NULL, 0)
CALL(user_ns, SYS_unshare, CLONE_NEWUSER)
CALL(mount_ns, SYS_unshare, CLONE_NEWNS)
CALL(net_ns, SYS_unshare, CLONE_NEWNET)
CALL(mount_, SYS_mount, "none", "/tmp", "no_such_filesystem", 0, NULL)
CALL(umount_, SYS_umount2, "/nowhere", 0)
CALL(fsopen_, SYS_fsopen, "tmpfs", 0)
CALL(open_tree_, SYS_open_tree, AT_FDCWD, "/", 1)
CALL(move_mount_, SYS_move_mount, -1, "", -1, "", 4)
CALL(mount_setattr_, SYS_mount_setattr, -1, "", 0x1000, "", 1)
CALL(pivot, SYS_pivot_root, "/nowhere", "/nowhere")
CALL(setns_, SYS_setns, -1, 0)
CALL(handle, SYS_open_by_handle_at, -1, NULL, 0)
CALL(init_module_, SYS_init_module, NULL, 0, "")
CALL(finit_module_, SYS_finit_module, -1, "", 0)
CALL(delete_module_, SYS_delete_module, "no_such_module", O_NONBLOCK)
CALL(kexec, SYS_kexec_load, 0, 17, NULL, 0xffff0000)
CALL(reboot_, SYS_reboot, 1, 2, 3, NULL)
CALL(clock_, SYS_clock_settime, 99, NULL)
CALL(settimeofday_, SYS_settimeofday, (void *)1, NULL)
CALL(swapon_, SYS_swapon, "/nowhere", 0)
CALL(swapoff_, SYS_swapoff, "/nowhere")
CALL(acct_, SYS_acct, "/nowhere")
CALL(quotactl_, SYS_quotactl, 0x80000300, "/nowhere", 0, NULL)
CALL(syslog_, SYS_syslog, 10, NULL, 0)
CALL(personality_, SYS_personality, 0x0040000)
CALL(kcmp_, SYS_kcmp, getpid(), getpid(), 0, 0, 0)
CALL(pidfd_getfd_, SYS_pidfd_getfd, -1, 0, 0)
CALL(move_pages_, SYS_move_pages, 0, 0, NULL, NULL, NULL, 0)
CALL(mbind_, SYS_mbind, 0, 0, 0, NULL, 0, 0)
CALL(fanotify, SYS_fanotify_init, 0, 0)
CALL(nfs, SYS_lookup_dcookie, 0, NULL, 0)
CALL(fspick_, SYS_fspick, -1, "", 0)
CALL(kexec_file, SYS_kexec_file_load, -1, -1, 0, NULL, 0xffff0000)
CALL(quotactl_fd_, 443, -1, 0x80000300, 0, NULL)
CALL(lsm_set_self_attr_, 460, 99, NULL, 0, 0)
CALL(open_tree_attr_, 467, -1, "", 0x1001, NULL, 0)
CALL(listns_, 470, NULL, NULL, 0, 0)

static long icmp_with(int option)
{
    int socket_ = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), on = 1;
    return result(socket_ < 0 ? -1 : setsockopt(socket_, IPPROTO_IP, option, &on, sizeof on));
}

static long header(void) { return icmp_with(IP_HDRINCL); }
static long transparent(void) { return icmp_with(IP_TRANSPARENT); }

static long perf(void)
{
    struct perf_event_attr attr;
    memset(&attr, 0, sizeof attr);
    attr.size = sizeof attr;
    attr.type = PERF_TYPE_SOFTWARE;
    return result(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0));
}

static long clone_user(void)
{
    long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static long clone3_user(void)
{
    unsigned long args[11] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };
    long pid = syscall(SYS_clone3, args, sizeof args);
    if (pid == 0)
        _exit(0);
    return result(pid);
}

#if defined(__x86_64__)
CALL(x32, 0x40000000 + SYS_getpid)
CALL(x32_uring, 0x40000000 + SYS_io_uring_setup, 1, NULL)
CALL(iopl_, SYS_iopl, 99)
CALL(ioperm_, SYS_ioperm, 0x10000000L, 1, 1)
static long i386_alg(void) { return i386(359, 38, 5, 0); }
static long i386_vsock(void) { return i386(359, 40, 1, 0); }
static long i386_call_alg(void) { return socketcall(38); }
static long i386_call_vsock(void) { return socketcall(40); }
static long i386_call_header(void)
{
    unsigned *args = low();
    args[0] = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), args[1] = IPPROTO_IP, args[2] = IP_HDRINCL;
    args[3] = (long)(args + 5), args[4] = 4, args[5] = 1;
    return (int)args[0] < 0 ? errno : i386(102, 14, (long)args, 0);
}
static long i386_keyctl(void) { return i386(288, 0, -3, 1); }
static long i386_unshare(void) { return i386(310, CLONE_NEWUSER, 0, 0); }
static long i386_uring(void) { return i386(425, 1, 0, 0); }
static long i386_mount(void) { return i386(22, 0, 0, 0); }
#endif

int main(void)
{
    one("socket(AF_ALG)", af_alg);
    one("socket(AF_ALG + 2^32)", af_alg_high);
    one("socket(AF_VSOCK)", af_vsock);
    one("socket(AF_PACKET)", af_packet);
    one("socket(AF_INET, SOCK_PACKET)", sock_packet);
    one("socket(SOCK_RAW, IPPROTO_RAW)", raw);
    one("socket(SOCK_RAW, IPPROTO_ICMPV6)", raw_icmpv6);
    one("setsockopt(IP_HDRINCL)", header);
    one("setsockopt(IP_TRANSPARENT)", transparent);
    one("io_uring_setup", uring);
    one("io_uring_enter", uring_enter);
    one("userfaultfd", uffd);
    one("bpf", bpf);
    one("perf_event_open", perf);
    one("keyctl", keyctl);
    one("add_key", add_key);
    one("request_key", request_key);
    one("unshare(CLONE_NEWUSER)", user_ns);
    one("unshare(CLONE_NEWNS)", mount_ns);
    one("unshare(CLONE_NEWNET)", net_ns);
    one("clone(CLONE_NEWUSER)", clone_user);
    one("clone3(CLONE_NEWUSER)", clone3_user);
    one("mount", mount_);
    one("umount2", umount_);
    one("fsopen", fsopen_);
    one("open_tree(OPEN_TREE_CLONE)", open_tree_);
    one("move_mount", move_mount_);
    one("mount_setattr", mount_setattr_);
    one("pivot_root", pivot);
    one("setns", setns_);
    one("open_by_handle_at", handle);
    one("init_module", init_module_);
    one("finit_module", finit_module_);
    one("delete_module", delete_module_);
    one("kexec_load", kexec);
    one("reboot", reboot_);
    one("clock_settime", clock_);
    one("settimeofday", settimeofday_);
    one("swapon", swapon_);
    one("swapoff", swapoff_);
    one("acct", acct_);
    one("quotactl", quotactl_);
    one("syslog", syslog_);
    one("personality(ADDR_NO_RANDOMIZE)", personality_);
    one("kcmp", kcmp_);
    one("pidfd_getfd", pidfd_getfd_);
    one("move_pages", move_pages_);
    one("mbind", mbind_);
    one("fanotify_init", fanotify);
    one("lookup_dcookie", nfs);
    one("fspick", fspick_);
    one("kexec_file_load", kexec_file);
    one("quotactl_fd", quotactl_fd_);
    one("lsm_set_self_attr", lsm_set_self_attr_);
    one("open_tree_attr", open_tree_attr_);
    one("listns", listns_);
#if defined(__x86_64__)
    one("getpid of x32", x32);
    one("io_uring_setup of x32", x32_uring);
    one("iopl", iopl_);
    one("ioperm", ioperm_);
    one("socket(AF_ALG) of i386", i386_alg);
    one("socket(AF_VSOCK) of i386", i386_vsock);
    one("socketcall(SYS_SOCKET, AF_ALG) of i386", i386_call_alg);
    one("socketcall(SYS_SOCKET, AF_VSOCK) of i386", i386_call_vsock);
    one("socketcall(SYS_SETSOCKOPT, IP_HDRINCL) of i386", i386_call_header);
    one("keyctl of i386", i386_keyctl);
    one("unshare(CLONE_NEWUSER) of i386", i386_unshare);
    one("io_uring_setup of i386", i386_uring);
    one("mount of i386", i386_mount);
#endif
    return 0;
}
