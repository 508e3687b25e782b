// The clocks of a program that runs with LD_PRELOAD: CLOCK_REALTIME stands where the file that HISTORIES_CLOCK names says,
// and CLOCK_BOOTTIME stands along with it. The file is two int64: nanoseconds since 1970, and since a boot.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *clocks;
static int (*real)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("HISTORIES_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *mapped = mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) clocks = mapped;
}

static void set(struct timespec *time, int64_t nanoseconds) {
    time->tv_sec = nanoseconds / 1000000000;
    time->tv_nsec = nanoseconds % 1000000000;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int outcome = real(clock, time);
    if (outcome || !clocks) return outcome;
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) set(time, clocks[0]);
    if (clock == CLOCK_BOOTTIME) set(time, clocks[1]);
    return 0;
}
