// Looks at each process that is born in its pid namespace, from its first moment on, for what only the host knows.
//
//   watch FILE NEEDLE: FILE is one that /proc/PID has for all to read.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 20];

static int has(int pid, const char *file, const char *needle)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = 0, part;
    while ((part = read(fd, text + length, sizeof text - length)) > 0)
        length += part;
    close(fd);
    return memmem(text, length, needle, strlen(needle)) != NULL;
}

static int lives(int pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d", pid);
    return access(path, F_OK) == 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int next = getpid() + 1;
    close(creat("/watching", 0644));
    for (;;) {
        // Some are gone before they are seen.
        int pid = next;
        while (pid < next + 16 && !lives(pid))
            pid++;
        if (pid == next + 16)
            continue;
        for (int look = 0; look < 2000 && lives(pid); look++)
            if (has(pid, argv[1], argv[2])) {
                close(creat("/found", 0644));
                puts("OUT");
                return 0;
            }
        next = pid + 1;
    }
}
