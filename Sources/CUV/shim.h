#pragma once
#include <uv.h>
#include <sys/socket.h>
#include <pthread.h>

// GNU extensions that Swift's Glibc module leaves out.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int pthread_setname_np(pthread_t, const char *);

static inline int cuv_accept(int descriptor) {
    return accept4(descriptor, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline void cuv_prefetch(const void *address) {
    __builtin_prefetch(address);
    __builtin_prefetch((const char *)address + 64);
}

static inline void cuv_name_thread(const char *name) {
    pthread_setname_np(pthread_self(), name);
}
