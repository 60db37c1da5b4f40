/*
 * What a disk does that fails, for the files of the database tier: preloaded into the server, it
 * stands between SQLite and the kernel and does as the first byte of a control file says.
 *
 *   -  as it should        f  full (ENOSPC)           r  gone read-only (EROFS)
 *   e  broken (EIO)        s  slow: 1.2 s per flush   z  silent until told otherwise
 *   u  flushes alone are broken
 *
 * Only what is called with a descriptor of `cache.db`, `cache.db-wal` or `cache.db-shm` is touched.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile const char *control;

__attribute__((constructor)) static void open_control(void) {
    const char *path = getenv("WASMCACHED_TEST_DISK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, 1, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) control = page;
    close(file);
}

/* What is wrong with the disk, as far as this descriptor lies on it. */
static char fault(int file) {
    char state = control ? *control : '-';
    if (state == '-') return state;
    char link[64], path[512];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return '-';
    path[length] = 0;
    if (!strstr(path, "/cache.db")) return '-';
    while (*control == 'z') usleep(5000);
    return *control;
}

/* The error of a write, or 0. */
static int refusal(int file) {
    switch (fault(file)) {
    case 'f': return ENOSPC;
    case 'r': return EROFS;
    case 'e': return EIO;
    default: return 0;
    }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(file)                                                                               \
    int error = refusal(file);                                                                     \
    if (error) {                                                                                   \
        errno = error;                                                                             \
        return -1;                                                                                 \
    }

ssize_t write(int file, const void *bytes, size_t length) {
    static __typeof__(&write) real;
    if (!real) real = REAL(write);
    REFUSE(file)
    return real(file, bytes, length);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    REFUSE(file)
    return REAL(pwrite)(file, bytes, length, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    REFUSE(file)
    return REAL(pwrite64)(file, bytes, length, at);
}

int ftruncate(int file, off_t length) {
    REFUSE(file)
    return REAL(ftruncate)(file, length);
}

int ftruncate64(int file, off64_t length) {
    REFUSE(file)
    return REAL(ftruncate64)(file, length);
}

ssize_t pread(int file, void *bytes, size_t length, off_t at) {
    fault(file);
    return REAL(pread)(file, bytes, length, at);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t at) {
    fault(file);
    return REAL(pread64)(file, bytes, length, at);
}

static int flush(int file, int (*real)(int)) {
    char state = fault(file);
    if (state == 's') {
        /* The real disk's time would come on top of it. */
        usleep(1200000);
        return 0;
    }
    if (state == 'e' || state == 'u') {
        errno = EIO;
        return -1;
    }
    return real(file);
}

int fsync(int file) { return flush(file, REAL(fsync)); }

int fdatasync(int file) { return flush(file, REAL(fdatasync)); }
