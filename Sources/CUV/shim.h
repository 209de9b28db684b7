#pragma once
#include <uv.h>
#include <sys/socket.h>
#include <pthread.h>
#ifdef __linux__
#include <linux/filter.h>
#endif

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

// Of all sockets that share an address by SO_REUSEPORT, the one at this position gets every new connection; a position that doesn't exist
// counts for nothing. One instruction of classic BPF: "return position".
static inline int cuv_steer_port(int descriptor, unsigned position) {
#ifdef __linux__
    struct sock_filter instruction = {BPF_RET | BPF_K, 0, 0, position};
    struct sock_fprog program = {1, &instruction};
    return setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
#else
    return -1;
#endif
}
