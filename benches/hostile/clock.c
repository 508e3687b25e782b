/* A clock that obeys: what the program is told is ahead of the machine's by the nanoseconds in the file that CLOCK_AHEAD names. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

static volatile long long *ahead;

__attribute__((constructor)) static void begin(void)
{
    const char *name = getenv("CLOCK_AHEAD");
    int file = name ? open(name, O_RDONLY) : -1;
    void *there = file < 0 ? MAP_FAILED : mmap(0, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (there != MAP_FAILED)
        ahead = there;
}

int clock_gettime(clockid_t id, struct timespec *at)
{
    static int (*real)(clockid_t, struct timespec *);
    if (!real)
        real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, at);
    if (!failed && ahead && (id == CLOCK_REALTIME || id == CLOCK_BOOTTIME)) {
        long long nanos = at->tv_nsec + *ahead % 1000000000;
        at->tv_sec += *ahead / 1000000000 + nanos / 1000000000;
        at->tv_nsec = nanos % 1000000000;
    }
    return failed;
}
