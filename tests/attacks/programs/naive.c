// What an engine without defences does to run a program in a container: it joins the namespaces of process PID, one after the
// other, with a directory of the host open, changes to a directory that the image names, and becomes the program.
//
//   naive PID HOST_DIRECTORY WORKING_DIRECTORY PROGRAM ARGUMENT...
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    int leaked = open(argv[2], O_RDONLY | O_DIRECTORY);
    if (leaked < 0 || dup2(leaked, 9) != 9)
        return 3;
    static const char *const kinds[] = { "pid", "mnt" };
    int joined[2];
    for (int i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%s/ns/%s", argv[1], kinds[i]);
        joined[i] = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (setns(joined[0], 0))
        return 4;
    pid_t child = fork();
    if (child == 0) {
        // It is seen inside, and sees what the host sees.
        usleep(100000);
        if (setns(joined[1], 0))
            _exit(4);
        // With no more rights than a container's root, which could not look at it otherwise, it is inside for a moment before it
        // is the program.
        struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
        struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };
        syscall(SYS_capset, &header, none);
        usleep(300000);
        if (chdir(argv[3]))
            _exit(5);
        execv(argv[4], argv + 4);
        _exit(6);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 7;
}
