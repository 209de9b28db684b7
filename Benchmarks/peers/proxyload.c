// Keyvane
// SPDX-License-Identifier: Apache-2.0
//
// What stands on both sides of a proxy in Benchmarks/balancer and Benchmarks/churn: a server and clients that cost far less than any proxy, each one
// thread on epoll. One line of JSON per result. The proxies get the same bytes from here whatever their make.
//
//   proxyload serve COUNT                       listens on COUNT ports of 127.0.0.1 and prints them; HTTP, echo and push tunnels
//   proxyload http PORT CONNS SECONDS RATE REQUEST    RATE 0: as fast as it answers; else so many a second, latency from when each was due
//   proxyload echo PORT CONNS INFLIGHT SECONDS  tunnels with so many messages under way in each
//   proxyload push PORT CONNS INFLIGHT SECONDS SOURCE   tunnels that the server at port SOURCE is told to push to
//   proxyload idle PORT tunnel|tls              holds what standard input orders: a total per line
//   proxyload handshakes PORT WORKERS SECONDS   full TLS handshakes, one connection each
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 65536, BUFFER = 256 * 1024, EVENTS = 512, HEAD = 8192, LOG = 1 << 22, SLICE = 64, MESSAGE = 106, LONGEST = 4000000 };
enum kind { FREE, LISTENER, HTTP, ECHO, SUBSCRIBER, PUBLISHER, CLIENT };

struct connection {
    enum kind kind;
    int held;              // bytes in `head`, or of `rest`
    char *head;            // a request or response that is not whole yet
    char *rest;            // what the socket would not take
    uint64_t offset;       // of the log, or bytes that came
    long body;             // bytes of a body still to come, or still to be sent
    double due;            // when the request under way was due; 0: none is
    int place, watching;
};

static struct connection table[CONNECTIONS];
static char buffer[BUFFER];
static int poller;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int fd, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(poller, operation, fd, &event) != 0) die("epoll_ctl");
}

static int wait_events(struct epoll_event *events, double seconds) {
    if (seconds < 0) seconds = 0;
    struct timespec time = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    int count = epoll_pwait2(poller, events, EVENTS, &time, NULL);
    return count < 0 ? 0 : count;
}

static void tune(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static void drop(int fd) {
    struct connection *c = &table[fd];
    free(c->head);
    free(c->rest);
    memset(c, 0, sizeof *c);
    close(fd);
}

static struct connection *adopt(int fd, enum kind kind) {
    if (fd >= CONNECTIONS) die("descriptor");
    memset(&table[fd], 0, sizeof table[fd]);
    table[fd].kind = kind;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    tune(fd);
    watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    return &table[fd];
}

// ---- server

static char *journal;                     // pushed bytes, a ring; each subscriber has an offset into all that ever was
static uint64_t journal_end;
static int subscribers[CONNECTIONS], subscriber_count, sweep;
static uint64_t swept_to;                 // where the journal ended when the sweep that is under way began
static int sweep_left;

static void accept_key(const char *key, int length, char *out) {
    char text[128];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size;
    int total = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", length, key);
    EVP_Digest(text, (size_t)total, digest, &size, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, (int)size);
}

// Sends; what does not go waits in `rest`, and nothing is read meanwhile.
static void put(int fd, const char *bytes, long count) {
    struct connection *c = &table[fd];
    long sent = c->rest ? 0 : send(fd, bytes, (size_t)count, MSG_NOSIGNAL);
    if (sent < 0) sent = 0;
    if (sent == count) return;
    c->rest = realloc(c->rest, (size_t)(c->held + count - sent));
    memcpy(c->rest + c->held, bytes + sent, (size_t)(count - sent));
    c->held += (int)(count - sent);
    watch(fd, EPOLLOUT, EPOLL_CTL_MOD);
}

static void unsubscribe(int fd) {
    int place = table[fd].place, last = subscribers[--subscriber_count];
    subscribers[place] = last;
    table[last].place = place;
}

static const char *field(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

// A request's head is whole; returns where its tunnel begins, if it does.
static void answer(int fd, const char *head) {
    struct connection *c = &table[fd];
    const char *key = field(head, "\r\nsec-websocket-key: ");
    if (key && strcasestr(head, "\r\nupgrade: websocket")) {
        char accept[64], response[256];
        accept_key(key, (int)strcspn(key, "\r"), accept);
        int length = snprintf(response, sizeof response,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
        free(c->head);
        c->head = NULL;
        c->held = 0;
        c->kind = !strncmp(head, "GET /push", 9) ? SUBSCRIBER : !strncmp(head, "GET /publish", 12) ? PUBLISHER : ECHO;
        put(fd, response, length);
        if (c->kind == SUBSCRIBER) {
            c->offset = journal_end;
            c->place = subscriber_count;
            subscribers[subscriber_count++] = fd;
        }
        return;
    }
    long size = !strncmp(head, "GET /bytes/", 11) ? atol(head + 11) : 100;
    char response[512];
    int length = snprintf(response, sizeof response, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %ld\r\n\r\n", size);
    const char *content = field(head, "\r\ncontent-length: ");
    c->body = content ? atol(content) : 0;
    if (size == 100) {
        memset(response + length, 'x', 100);
        put(fd, response, length + 100);
        return;
    }
    put(fd, response, length);
    static char block[65536];
    if (!block[0]) memset(block, 'x', sizeof block);
    for (long left = size; left > 0; left -= (long)sizeof block) put(fd, block, left < (long)sizeof block ? left : (long)sizeof block);
}

static void serve_http(int fd, char *bytes, long count) {
    struct connection *c = &table[fd];
    while (count > 0 && table[fd].kind == HTTP) {
        if (c->body > 0) {
            long taken = count < c->body ? count : c->body;
            c->body -= taken, bytes += taken, count -= taken;
            continue;
        }
        // Nearly always a head comes whole, and nothing is copied.
        char *end = c->head ? NULL : memmem(bytes, (size_t)count, "\r\n\r\n", 4);
        if (end) {
            end[2] = 0;
            answer(fd, bytes);
            count -= end + 4 - bytes;
            bytes = end + 4;
            continue;
        }
        if (!c->head) c->head = calloc(1, HEAD + 1), c->place = 0;
        while (count > 0 && c->place < HEAD) {
            c->head[c->place++] = *bytes++, count--;
            if (c->place >= 4 && !memcmp(c->head + c->place - 4, "\r\n\r\n", 4)) {
                char *head = c->head;
                head[c->place - 2] = 0;
                c->head = NULL;
                c->place = 0;
                answer(fd, head);
                free(head);
                break;
            }
        }
        if (c->head && c->place == HEAD) {
            drop(fd);
            return;
        }
    }
    // What follows a 101 in the same read is the tunnel's.
    if (count > 0 && table[fd].kind == ECHO) put(fd, bytes, count);
}

static void publish(const char *bytes, long count) {
    for (long done = 0; done < count;) {
        uint64_t at = journal_end % LOG;
        long part = count - done < (long)(LOG - at) ? count - done : (long)(LOG - at);
        memcpy(journal + at, bytes + done, (size_t)part);
        journal_end += (uint64_t)part;
        done += part;
    }
}

// A slice of the pass over the subscribers; what is published in mid-pass joins its rest. True while there is more to do.
static int push(void) {
    for (int sends = 0; sends < SLICE; sends++) {
        if (sweep_left <= 0) {
            if (swept_to == journal_end) return 0;
            swept_to = journal_end;
            sweep_left = subscriber_count;
            if (!sweep_left) return 0;
        }
        sweep_left--;
        if (sweep >= subscriber_count) sweep = 0;
        int fd = subscribers[sweep++];
        struct connection *c = &table[fd];
        if (c->watching || c->offset == journal_end) continue;
        uint64_t at = c->offset % LOG, lag = journal_end - c->offset;
        if (lag > LOG) exit((fprintf(stderr, "a subscriber fell off the journal\n"), 1));
        size_t part = lag < LOG - at ? (size_t)lag : (size_t)(LOG - at);
        long sent = send(fd, journal + at, part, MSG_NOSIGNAL);
        if (sent > 0) c->offset += (uint64_t)sent;
        if (sent < (long)part) {
            c->watching = 1;
            watch(fd, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        }
    }
    return 1;
}

static void serve_event(int fd, uint32_t events) {
    struct connection *c = &table[fd];
    if (c->kind == LISTENER) {
        for (int client; (client = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0;) adopt(client, HTTP);
        return;
    }
    if (c->kind == FREE) return;
    if (events & EPOLLOUT) {
        if (c->watching) {
            c->watching = 0;
            watch(fd, EPOLLIN, EPOLL_CTL_MOD);
            sweep_left = subscriber_count;
        } else if (c->rest) {
            long sent = send(fd, c->rest, (size_t)c->held, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN) return drop(fd);
            if (sent > 0) memmove(c->rest, c->rest + sent, (size_t)(c->held -= (int)sent));
            if (c->held == 0) {
                free(c->rest);
                c->rest = NULL;
                watch(fd, EPOLLIN, EPOLL_CTL_MOD);
            }
        }
    }
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    long count = recv(fd, buffer, BUFFER, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
        if (c->kind == SUBSCRIBER) unsubscribe(fd);
        drop(fd);
    } else if (c->kind == HTTP) {
        serve_http(fd, buffer, count);
    } else if (c->kind == ECHO) {
        put(fd, buffer, count);
    } else if (c->kind == PUBLISHER) {
        publish(buffer, count);
    }
}

static void serve(int count) {
    journal = malloc(LOG);
    printf("[");
    for (int i = 0; i < count; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(fd, (struct sockaddr *)&address, size) || listen(fd, 4096) || getsockname(fd, (struct sockaddr *)&address, &size)) die("listen");
        adopt(fd, LISTENER);
        printf("%s%d", i ? ", " : "", ntohs(address.sin_port));
    }
    printf("]\n");
    fflush(stdout);
    struct epoll_event events[EVENTS];
    for (int busy = 0;; busy = push()) {
        int ready = wait_events(events, busy ? 0 : 3600);
        for (int i = 0; i < ready; i++) serve_event(events[i].data.fd, events[i].events);
    }
}

// ---- clients

static int connect_to(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

// A tunnel, or -1; blocking, because what opens is not what is measured.
static int open_tunnel(int port, const char *path) {
    int fd = connect_to(port);
    if (fd < 0) return -1;
    char text[512];
    int length = snprintf(text, sizeof text,
        "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path);
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length) die("upgrade");
    int held = 0;
    while (held < (int)sizeof text - 1) {
        long count = recv(fd, text + held, sizeof text - 1 - (size_t)held, 0);
        if (count <= 0) break;
        held += (int)count;
        text[held] = 0;
        if (!strstr(text, "\r\n\r\n")) continue;
        if (!strncmp(text, "HTTP/1.1 101", 12)) return fd;
        break;
    }
    close(fd);
    return -1;
}

static unsigned histogram[LONGEST];
static long answered, failed;

static double percentile(double share) {
    long wanted = (long)((double)answered * share), seen = 0;
    for (int i = 0; i < LONGEST; i++)
        if ((seen += histogram[i]) > wanted) return i / 1000.0;
    return LONGEST / 1000.0;
}

// The length of the response that begins here, or 0 while that is not known.
static long response_length(const char *bytes, long count) {
    const char *end = memmem(bytes, (size_t)count, "\r\n\r\n", 4);
    if (!end) return 0;
    for (const char *line = bytes; line < end; line++) {
        line = memchr(line, '\n', (size_t)(end - line));
        if (!line) break;
        if (!strncasecmp(line + 1, "content-length:", 15)) return end + 4 - bytes + atol(line + 16);
    }
    return end + 4 - bytes;
}

static void http_load(int port, int connections, double seconds, double rate, char *request) {
    // The request comes as an argument with \n for the ends of its lines.
    char text[4096];
    int length = 0;
    for (char *at = request; *at && length < 4000; at++) {
        if (*at == '\n') text[length++] = '\r';
        text[length++] = *at;
    }
    int *idle = calloc((size_t)connections, sizeof(int)), idle_count = 0, lost = 0;
    for (int i = 0; i < connections; i++) {
        int fd = connect_to(port);
        if (fd < 0) die("connect");
        adopt(fd, CLIENT)->head = malloc(HEAD);
        idle[idle_count++] = fd;
    }
    double began = now(), end = began + seconds, time = began;
    long started = 0;
    struct epoll_event events[EVENTS];
    while (time < end || idle_count + lost < connections) {
        while (idle_count > 0 && time < end && (rate == 0 || (double)started / rate <= time - began)) {
            int fd = idle[--idle_count];
            table[fd].due = rate == 0 ? time : began + (double)started / rate;
            table[fd].held = 0;
            started++;
            // A refused send is seen as an end below.
            send(fd, text, (size_t)length, MSG_NOSIGNAL);
        }
        double next = rate == 0 || idle_count == 0 || time >= end ? 0.1 : began + (double)started / rate - time;
        int ready = wait_events(events, next);
        time = now();
        if (time > end + 10) break;
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            struct connection *c = &table[fd];
            long count = recv(fd, c->head + c->held, (size_t)(HEAD - c->held), 0);
            if (count < 0 && errno == EAGAIN) continue;
            int over = count <= 0, good = 0;
            if (!over) {
                c->held += (int)count;
                long whole = response_length(c->head, c->held);
                if (!whole || c->held < whole) continue;
                good = !strncmp(c->head, "HTTP/1.1 200", 12);
                over = memmem(c->head, (size_t)c->held, "onnection: close", 16) != NULL;
            }
            if (c->due > 0) {
                int late = (int)((time - c->due) * 1e6);
                if (good) answered++, histogram[late < LONGEST ? late : LONGEST - 1]++;
                else failed++;
            }
            int was_busy = c->due > 0;
            c->due = 0;
            if (over) {
                int place = -1;
                if (!was_busy)
                    for (place = 0; place < idle_count && idle[place] != fd;) place++;
                drop(fd);
                int fresh = connect_to(port);
                if (fresh >= 0) adopt(fresh, CLIENT)->head = malloc(HEAD);
                if (place >= 0) idle[place] = idle[--idle_count];
                if (fresh >= 0) idle[idle_count++] = fresh;
                else lost++;
            } else {
                idle[idle_count++] = fd;
            }
        }
    }
    // What is still unanswered has failed too.
    failed += connections - idle_count - lost;
    printf("{\"answered\": %ld, \"failed\": %ld, \"lost\": %d, \"perSecond\": %.1f, \"p50\": %.3f, \"p99\": %.3f}\n", answered, failed, lost,
        (double)answered / (now() - began), percentile(0.5), percentile(0.99));
}

static void echo_load(int port, int connections, int flight, double seconds) {
    char messages[MESSAGE * 64];
    memset(messages, 'x', sizeof messages);
    // A masked text frame of 100 bytes; nobody on the way looks inside.
    for (int i = 0; i < 64; i++) memcpy(messages + i * MESSAGE, "\x81\xe4\x01\x02\x03\x04", 6);
    int open = 0;
    for (int i = 0; i < connections; i++) {
        int fd = open_tunnel(port, "/echo");
        if (fd < 0) die("tunnel");
        adopt(fd, CLIENT);
        open++;
    }
    double began = now(), end = began + seconds;
    uint64_t bytes = 0;
    for (int fd = 0; fd < CONNECTIONS; fd++)
        if (table[fd].kind == CLIENT) send(fd, messages, (size_t)(flight * MESSAGE), MSG_NOSIGNAL);
    struct epoll_event events[EVENTS];
    while (now() < end) {
        int ready = wait_events(events, 0.1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            long count = recv(fd, buffer, BUFFER, 0);
            if (count <= 0) {
                if (count < 0 && errno == EAGAIN) continue;
                drop(fd);
                open--;
                continue;
            }
            struct connection *c = &table[fd];
            long before = (long)(c->offset / MESSAGE);
            c->offset += (uint64_t)count;
            bytes += (uint64_t)count;
            long whole = (long)(c->offset / MESSAGE) - before;
            if (whole > 0) send(fd, messages, (size_t)(whole * MESSAGE), MSG_NOSIGNAL);
        }
    }
    printf("{\"messages\": %lu, \"perSecond\": %.1f, \"lost\": %d}\n", bytes / MESSAGE, (double)(bytes / MESSAGE) / (now() - began), connections - open);
}

static void push_load(int port, int connections, int flight, double seconds, int source) {
    char message[4 + 200] = "\x81\x7e\x00\xc8";
    memset(message + 4, 'x', 200);
    for (int i = 0; i < connections; i++) {
        int fd = open_tunnel(port, "/push");
        if (fd < 0) die("tunnel");
        adopt(fd, CLIENT);
    }
    int publisher = open_tunnel(source, "/publish");
    if (publisher < 0) die("publisher");
    double began = now(), end = began + seconds;
    uint64_t bytes = 0, published = 0, share = (uint64_t)connections * sizeof message;
    struct epoll_event events[EVENTS];
    struct timespec millisecond = {0, 1000000};
    while (now() < end) {
        // In flight is what half of the tunnels have not got.
        while ((double)published - (double)bytes / (double)share < flight - 0.5) {
            if (send(publisher, message, sizeof message, MSG_NOSIGNAL) != sizeof message) die("publish");
            published++;
        }
        int ready = wait_events(events, 0.1);
        for (int i = 0; i < ready; i++) {
            long count = recv(events[i].data.fd, buffer, BUFFER, 0);
            if (count <= 0) exit((fprintf(stderr, "a tunnel ended\n"), 1));
            bytes += (uint64_t)count;
        }
        // So that what has come together is read together, and the proxy is what decides.
        nanosleep(&millisecond, NULL);
    }
    double rate = (double)bytes / sizeof message / (now() - began);
    // Everything published must have arrived: no byte more or less.
    double patience = now() + 10;
    while (bytes < published * share && now() < patience) {
        int ready = wait_events(events, 0.1);
        for (int i = 0; i < ready; i++) {
            long count = recv(events[i].data.fd, buffer, BUFFER, 0);
            if (count > 0) bytes += (uint64_t)count;
        }
    }
    printf("{\"perSecond\": %.1f, \"missing\": %ld}\n", rate, (long)((int64_t)(published * share) - (int64_t)bytes) / (long)sizeof message);
}

static SSL_CTX *client_context(void) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return context;
}

static SSL *handshake(SSL_CTX *context, int port) {
    int fd = connect_to(port);
    if (fd < 0) return NULL;
    tune(fd);
    SSL *session = SSL_new(context);
    SSL_set_fd(session, fd);
    SSL_set_tlsext_host_name(session, "localhost");
    if (SSL_connect(session) == 1) return session;
    SSL_free(session);
    close(fd);
    return NULL;
}

static void hold(int port, const char *what) {
    char line[64];
    SSL_CTX *context = strcmp(what, "tls") ? NULL : client_context();
    int open = 0;
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    while (fgets(line, sizeof line, stdin)) {
        int wanted = atoi(line);
        double began = now();
        int from = open;
        for (int tries = 0; open < wanted && tries < 3 * wanted; tries++) {
            // Below the rate of upgrades that a balancer admits by default.
            double ahead = (double)(open - from) / 1500 - (now() - began);
            if (ahead > 0) usleep((useconds_t)(ahead * 1e6));
            if (!context) {
                if (open_tunnel(port, "/idle") >= 0) open++;
                continue;
            }
            SSL *session = handshake(context, port);
            // One exchange: idle means that it has worked and waits.
            if (!session || SSL_write(session, request, sizeof request - 1) <= 0 || SSL_read(session, buffer, BUFFER) <= 0) continue;
            open++;
        }
        printf("{\"open\": %d}\n", open);
        fflush(stdout);
    }
}

static void handshakes(int port, int workers, double seconds) {
    int results[2];
    if (pipe(results) != 0) die("pipe");
    for (int i = 0; i < workers; i++) {
        if (fork() != 0) continue;
        SSL_CTX *context = client_context();
        long counts[2] = {0, 0};
        for (double end = now() + seconds; now() < end;) {
            SSL *session = handshake(context, port);
            counts[session == NULL]++;
            if (!session) continue;
            int fd = SSL_get_fd(session);
            SSL_shutdown(session);
            SSL_free(session);
            close(fd);
        }
        if (write(results[1], counts, sizeof counts) != sizeof counts) die("write");
        _exit(0);
    }
    long total = 0, bad = 0, counts[2];
    for (int i = 0; i < workers; i++) {
        if (read(results[0], counts, sizeof counts) != sizeof counts) die("read");
        total += counts[0];
        bad += counts[1];
    }
    while (wait(NULL) > 0) {}
    printf("{\"handshakes\": %ld, \"failed\": %ld, \"perSecond\": %.1f}\n", total, bad, (double)total / seconds);
}

int main(int count, char **words) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    poller = epoll_create1(0);
    if (count == 3 && !strcmp(words[1], "serve")) serve(atoi(words[2]));
    else if (count == 7 && !strcmp(words[1], "http")) http_load(atoi(words[2]), atoi(words[3]), atof(words[4]), atof(words[5]), words[6]);
    else if (count == 6 && !strcmp(words[1], "echo")) echo_load(atoi(words[2]), atoi(words[3]), atoi(words[4]), atof(words[5]));
    else if (count == 7 && !strcmp(words[1], "push")) push_load(atoi(words[2]), atoi(words[3]), atoi(words[4]), atof(words[5]), atoi(words[6]));
    else if (count == 4 && !strcmp(words[1], "idle")) hold(atoi(words[2]), words[3]);
    else if (count == 5 && !strcmp(words[1], "handshakes")) handshakes(atoi(words[2]), atoi(words[3]), atof(words[4]));
    else exit((fprintf(stderr, "proxyload: see its first lines\n"), 2));
    return 0;
}
