/*
 * The container of stages 00 to 11, 19 and 20 by bare system calls: what the same work costs without any abstraction.
 *
 * The calls and their order are those of the stages; what they check, report and journal is left out. For each line on
 * standard input one container is started, and the microseconds from the first call to the last are printed.
 *
 *   container ROOTFS BASE FIRST-ID      BASE does not exist; FIRST-ID is the first of 65,536 ids of the host
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
enum { RDONLY = 1, NOSUID = 2, NODEV = 4, NOEXEC = 8, IDMAP = 0x100000 };
enum { NONE = NOSUID | NODEV | NOEXEC };
struct attr { uint64_t set, clear, propagation, userns; };
struct how { uint64_t flags, mode, resolve; };
struct arguments { uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, rest[6]; };

static void must(long result, const char *what) {
    if (result < 0) {
        fprintf(stderr, "container.c: %s: %s\n", what, strerror(errno));
        _exit(125);
    }
}
#define DO(call) must((long)(call), #call)
static int made(long fd, const char *what) { must(fd, what); return (int)fd; }
#define FD(call) made((long)(call), #call)

static long clone_with(uint64_t flags, int *pidfd) {
    struct arguments a = {.flags = flags | CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD};
    return syscall(SYS_clone3, &a, sizeof a);
}
static void reap(int pidfd) {
    siginfo_t info;
    DO(syscall(SYS_waitid, P_PIDFD, pidfd, &info, WEXITED, NULL));
    close(pidfd);
}
static void put(const char *path, const char *text) {
    int fd = FD(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    DO(write(fd, text, strlen(text)));
    close(fd);
}
static void get(const char *path) {
    char text[4096];
    int fd = FD(open(path, O_RDONLY | O_CLOEXEC));
    while (read(fd, text, sizeof text) > 0) {}
    close(fd);
}
static void write_maps(long pid, unsigned first) {
    char path[64], map[64];
    snprintf(map, sizeof map, "0 %u 65536\n", first);
    snprintf(path, sizeof path, "/proc/%ld/uid_map", pid);
    put(path, map);
    snprintf(path, sizeof path, "/proc/%ld/gid_map", pid);
    put(path, map);
}
static void text_option(int context, const char *key, const char *value) {
    DO(syscall(SYS_fsconfig, context, 1, key, value, 0));
}

/* 20: a user namespace without a process. */
static int user_namespace(unsigned first) {
    int line[2], pidfd;
    char path[64], byte;
    DO(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line));
    long pid = clone_with(CLONE_NEWUSER, &pidfd);
    must(pid, "clone3");
    if (pid == 0) {
        close(line[0]);
        _exit(read(line[1], &byte, 1) < 0);
    }
    write_maps(pid, first);
    snprintf(path, sizeof path, "/proc/%ld/ns/user", pid);
    int fd = FD(open(path, O_RDONLY | O_CLOEXEC));
    close(line[0]);
    close(line[1]);
    reap(pidfd);
    return fd;
}

/* 09 with 20: the overlay of idmapped layers. */
static int overlay(const char *rootfs, const char *base, int userns, unsigned first) {
    char upper[PATH_MAX], work[PATH_MAX], real[3][PATH_MAX], top[PATH_MAX];
    struct stat like;
    struct statx found;
    snprintf(upper, sizeof upper, "%s/upper", base);
    snprintf(work, sizeof work, "%s/work", base);
    DO(mkdir(base, 0700));
    DO(mkdir(upper, 0755));
    DO(stat(rootfs, &like));
    DO(chown(upper, like.st_uid, like.st_gid));
    DO(chmod(upper, like.st_mode & 07777));
    DO(mkdir(work, 0755));
    const char *paths[3] = {rootfs, upper, work};
    int pinned[3], layers[3], tree = -1;
    for (int i = 0; i < 3; i++) pinned[i] = FD(open(paths[i], O_PATH | O_DIRECTORY | O_CLOEXEC));
    for (int i = 0; i < 3; i++) {
        if (!realpath(paths[i], real[i])) must(-1, "realpath");
        DO(statx(AT_FDCWD, real[i], 0, STATX_MNT_ID, &found));
        if (i == 0) { /* the caller chose three places in the same mount: where does it begin? */
            uint64_t id = found.stx_mnt_id;
            char path[PATH_MAX];
            strcpy(top, strcpy(path, real[i]));
            for (char *end; (end = strrchr(path, '/')); strcpy(top, path)) {
                end[end == path] = 0;
                DO(statx(AT_FDCWD, path, 0, STATX_MNT_ID, &found));
                if (found.stx_mnt_id != id) break;
                if (end == path) { strcpy(top, "/"); break; }
            }
            tree = FD(syscall(SYS_open_tree, AT_FDCWD, top, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
            struct attr attr = {.set = IDMAP, .userns = (uint64_t)userns};
            DO(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof attr));
        }
        struct how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = 8 | 4};
        layers[i] = FD(syscall(SYS_openat2, tree, real[i] + strlen(top) + (top[1] != 0), &how, sizeof how));
    }
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    DO(syscall(SYS_capget, &header, sets));
    syscall(SYS_setfsgid, first), syscall(SYS_setfsuid, first);
    syscall(SYS_setfsgid, -1), syscall(SYS_setfsuid, -1);
    DO(syscall(SYS_capset, &header, sets));
    int context = FD(syscall(SYS_fsopen, "overlay", 1));
    const char *keys[3] = {"lowerdir+", "upperdir", "workdir"};
    for (int i = 0; i < 3; i++) DO(syscall(SYS_fsconfig, context, 5, keys[i], NULL, layers[i]));
    text_option(context, "source", "overlay");
    text_option(context, "redirect_dir", "nofollow");
    text_option(context, "index", "off");
    text_option(context, "metacopy", "off");
    DO(syscall(SYS_fsconfig, context, 0, "volatile", NULL, 0));
    DO(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
    int root = FD(syscall(SYS_fsmount, context, 1, NODEV));
    close(context);
    syscall(SYS_setfsgid, 0), syscall(SYS_setfsuid, 0);
    for (int i = 0; i < 3; i++) close(layers[i]);
    close(tree);
    for (int i = 0; i < 3; i++) close(pinned[i]);
    return root;
}

/* 08: what is mounted. */
struct entry { const char *path, *kind, *options; unsigned attr; };
static const struct entry TABLE[] = {
    {"/proc", "proc", "", NONE},
    {"/sys", "sysfs", "", NONE | RDONLY},
    {"/dev", "tmpfs", "mode=755,size=65536k", NOSUID},
    {"/dev/pts", "devpts", "ptmxmode=0666,mode=0620,gid=5", NOSUID | NOEXEC},
    {"/dev/shm", "tmpfs", "mode=1777,size=67108864", NONE},
    {"/dev/mqueue", "mqueue", "", NONE},
    {"/dev/null"}, {"/dev/zero"}, {"/dev/full"}, {"/dev/random"}, {"/dev/urandom"}, {"/dev/tty"},
    {"/proc/acpi", "?"}, {"/proc/asound", "?"}, {"/proc/interrupts", "?"}, {"/proc/kcore", "?"}, {"/proc/keys", "?"},
    {"/proc/latency_stats", "?"}, {"/proc/sched_debug", "?"}, {"/proc/scsi", "?"}, {"/proc/timer_list", "?"},
    {"/proc/timer_stats", "?"}, {"/sys/devices/virtual/powercap", "?"}, {"/sys/firmware", "?"},
    {"/sys/kernel/security", "?"},
    {"/proc/bus", "="}, {"/proc/fs", "="}, {"/proc/irq", "="}, {"/proc/sys", "="}, {"/proc/sysrq-trigger", "="},
};
enum { ENTRIES = sizeof TABLE / sizeof *TABLE };
static struct entry table[ENTRIES];
static int entries;

static void choose(void) {
    entries = 0;
    for (int i = 0; i < ENTRIES; i++) {
        struct entry entry = TABLE[i];
        if (entry.kind && *entry.kind == '?') { /* masked, where the host has it */
            struct statx found;
            if (statx(AT_FDCWD, entry.path, 0, STATX_BASIC_STATS, &found)) continue;
            if (S_ISDIR(found.stx_mode))
                entry = (struct entry){entry.path, "tmpfs", "size=0,nr_inodes=1", NONE | RDONLY};
            else
                entry.kind = "/dev/null";
        }
        table[entries++] = entry;
    }
}
static int make(const struct entry *entry) {
    if (!entry->kind || *entry->kind == '/') {
        const char *from = entry->kind ? entry->kind : entry->path;
        return FD(syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
    }
    int context = FD(syscall(SYS_fsopen, entry->kind, 1));
    text_option(context, "source", entry->kind);
    char options[128], *rest = options, *option;
    strcpy(options, entry->options);
    while ((option = strsep(&rest, ",")) && *option) {
        char *value = strchr(option, '=');
        *value++ = 0;
        text_option(context, option, value);
    }
    DO(syscall(SYS_fsconfig, context, 6, NULL, NULL, 0));
    int fd = FD(syscall(SYS_fsmount, context, 1, entry->attr));
    close(context);
    return fd;
}
static int move(int fd, const char *path) { return (int)syscall(SYS_move_mount, fd, "", AT_FDCWD, path, 4 | 0x40); }
static void attach(const struct entry *entry, int fd) {
    if (fd < 0) {
        fd = (int)syscall(SYS_open_tree, AT_FDCWD, entry->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
        if (fd < 0 && errno == ENOENT) return;
        struct attr attr = {.set = NONE | RDONLY};
        DO(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr));
        DO(move(fd, entry->path));
        close(fd);
    } else if (move(fd, entry->path)) {
        if (entry->kind && *entry->kind != '/') { /* a directory below /dev */
            if (mkdir("/dev", 0755) && errno != EEXIST) must(-1, "mkdir");
            DO(mkdir(entry->path, 0755));
        } else {
            if (mkdir("/dev", 0755) && errno != EEXIST) must(-1, "mkdir");
            close(FD(open(entry->path, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644)));
        }
        DO(move(fd, entry->path));
    }
}
static void mounts(int root) {
    static const char *LINKS[][2] = {{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"}};
    int fds[ENTRIES];
    DO(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    for (int i = 0; i < entries; i++)
        fds[i] = table[i].kind && *table[i].kind == '=' ? -1 : make(&table[i]);
    DO(move(root, "/"));
    DO(fchdir(root));
    DO(syscall(SYS_pivot_root, ".", "."));
    DO(umount2(".", MNT_DETACH));
    DO(chdir("/"));
    for (int i = 0; i < entries; i++) attach(&table[i], fds[i]);
    for (int i = 0; i < 5; i++) DO(symlink(LINKS[i][0], LINKS[i][1]));
}

static void child(int gate, int root) {
    char byte, *program[] = {"/true", NULL}, *environment[] = {NULL};
    unsigned long zero[4] = {0}, none = 0;
    for (int signal = 1; signal <= 64; signal++) syscall(SYS_rt_sigaction, signal, zero, NULL, 8);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
    if (recv(gate, &byte, 1, 0) != 1) _exit(127);
    DO(syscall(SYS_setgroups, 0, NULL)); /* 19 */
    DO(syscall(SYS_setresgid, 0, 0, 0));
    DO(syscall(SYS_setresuid, 0, 0, 0));
    DO(sethostname("container", 9)); /* 04 */
    int up = FD(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)); /* 07 */
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    DO(ioctl(up, SIOCSIFFLAGS, &request));
    close(up);
    mounts(root); /* 08 */
    DO(setsid()); /* 10 */
    DO(syscall(SYS_setgroups, 0, NULL)); /* 11 */
    DO(syscall(SYS_setresgid, 1000, 1000, 1000));
    DO(syscall(SYS_setresuid, 1000, 1000, 1000));
    DO(syscall(SYS_close_range, 3, ~0U, 4));
    execve("/true", program, environment);
    must(-1, "execve");
}

static void run(const char *rootfs, const char *base, unsigned first) {
    int line[2], pidfd;
    char path[PATH_MAX], byte = 1;
    choose();
    get("/proc/self/status");
    int userns = user_namespace(first);
    int root = overlay(rootfs, base, userns, first);
    DO(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, line));
    long pid = clone_with(
        CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS, &pidfd);
    must(pid, "clone3");
    if (pid == 0) {
        close(line[0]);
        child(line[1], root);
    }
    close(line[1]);
    write_maps(pid, first);
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    get(path);
    DO(send(line[0], &byte, 1, MSG_NOSIGNAL));
    if (recv(line[0], &byte, 1, 0) != 0) must(-1, "the child");
    close(line[0]);
    reap(pidfd);
    close(root);
    close(userns);
    const char *own[] = {"upper", "work/work/incompat/volatile/dirty", "work/work/incompat/volatile",
        "work/work/incompat", "work/work", "work", ""};
    for (int i = 0; i < 7; i++) {
        snprintf(path, sizeof path, "%s/%s", base, own[i]);
        if (remove(path) && errno != ENOENT) must(-1, path);
    }
}

int main(int count, char **arguments) {
    char line[16];
    if (count != 4) return 125;
    while (fgets(line, sizeof line, stdin)) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        run(arguments[1], arguments[2], (unsigned)strtoul(arguments[3], NULL, 10));
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("%.1f\n", (after.tv_sec - before.tv_sec) * 1e6 + (after.tv_nsec - before.tv_nsec) / 1e3);
        fflush(stdout);
    }
    return 0;
}
