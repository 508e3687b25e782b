// A disk that obeys, of a program that runs with LD_PRELOAD: the file that DISK_OBEYS names is one int64. So many milliseconds
// takes each sync longer; with -1 syncs hang until it is another number, with -2 they fail, with -3 writes hang.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *order;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_OBEYS");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(0, sizeof *order, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) order = mapped;
}

static void wait_for(int64_t milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, 0);
}

static int fails(void) {
    if (!order) return 0;
    while (*order == -1) wait_for(10);
    if (*order > 0) wait_for(*order);
    return *order == -2;
}

#define SYNC(name)                                                 \
    int name(int file) {                                           \
        static int (*real)(int);                                   \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);   \
        if (!fails()) return real(file);                           \
        errno = EIO;                                               \
        return -1;                                                 \
    }
SYNC(fsync)
SYNC(fdatasync)

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
    while (order && *order == -3) wait_for(10);
    return real(file, bytes, count, offset);
}
