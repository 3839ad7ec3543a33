/* Put in front of the C library (LD_PRELOAD): a disk that is full, and a clock that is wrong.

   CELLSEARCH_TEST_FULL names a file. While it is there, every write to a path that contains the text in it fails
   with "No space left on device", the first one after half of its bytes, as on a real disk.
   CELLSEARCH_TEST_CLOCK names a file with the seconds by which the clock of the day is ahead. It may change. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int told(const char *variable, char *text, size_t size) { /* what the file of a variable says */
  const char *path = getenv(variable);
  if (!path) return 0;
  int handle = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (handle < 0) return 0;
  long got = syscall(SYS_read, handle, text, size - 1);
  syscall(SYS_close, handle);
  if (got <= 0) return 0;
  text[got] = 0;
  text[strcspn(text, "\n")] = 0;
  return 1;
}

static int full_path(const char *path) {
  char pattern[256];
  int before = errno, found = told("CELLSEARCH_TEST_FULL", pattern, sizeof pattern) && strstr(path, pattern);
  errno = before;
  return found;
}

static int full(int handle) {
  char link[64], path[PATH_MAX];
  if (!getenv("CELLSEARCH_TEST_FULL")) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
  int before = errno;
  long got = readlink(link, path, sizeof path - 1);
  errno = before;
  if (got < 0) return 0;
  path[got] = 0;
  return full_path(path);
}

static size_t room(size_t size) { /* half of the first write, then nothing */
  static int used;
  return used++ % 2 == 0 ? size / 2 : 0;
}

#define FULL return errno = ENOSPC, -1

ssize_t write(int handle, const void *data, size_t size) {
  if (full(handle) && !(size = room(size))) FULL;
  return REAL(write)(handle, data, size);
}

ssize_t pwrite(int handle, const void *data, size_t size, off_t at) {
  if (full(handle) && !(size = room(size))) FULL;
  return REAL(pwrite)(handle, data, size, at);
}

ssize_t pwrite64(int handle, const void *data, size_t size, off64_t at) {
  if (full(handle) && !(size = room(size))) FULL;
  return REAL(pwrite64)(handle, data, size, at);
}

static int new_and_full(const char *path, int flags) {
  return (flags & O_CREAT) && access(path, F_OK) != 0 && full_path(path);
}

#define MODE(flags, mode) \
  mode_t mode = 0; \
  if (flags & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open(const char *path, int flags, ...) {
  MODE(flags, mode)
  if (new_and_full(path, flags)) FULL;
  return REAL(open)(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  MODE(flags, mode)
  if (new_and_full(path, flags)) FULL;
  return REAL(open64)(path, flags, mode);
}

int mkdir(const char *path, mode_t mode) {
  if (access(path, F_OK) != 0 && full_path(path)) FULL;
  return REAL(mkdir)(path, mode);
}

static double ahead(void) {
  char text[64];
  return told("CELLSEARCH_TEST_CLOCK", text, sizeof text) ? atof(text) : 0.0;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int got = syscall(SYS_clock_gettime, clock, at);
  if (got == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += (time_t)ahead();
  return got;
}

int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}
