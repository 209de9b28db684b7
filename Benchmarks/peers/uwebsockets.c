// Keyvane
// SPDX-License-Identifier: Apache-2.0

// The uWebSockets peer of Benchmarks/fanout: uWebSockets' own C interface as PyPI's socketify ships it, in its best form for a server that is
// fed from elsewhere: what came in one read is published from one deferred callback, outside of any WebSocket handler.
//
//     cc -O2 -o peer uwebsockets.c libsocketify_linux_amd64.so && ./peer PORT

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct uws_app_s uws_app_t;
typedef struct uws_req_s uws_req_t;
typedef struct uws_res_s uws_res_t;
typedef struct uws_websocket_s uws_websocket_t;
typedef struct uws_socket_context_s uws_socket_context_t;

struct us_socket_context_options_t {
    const char *key_file_name, *cert_file_name, *passphrase, *dh_params_file_name, *ca_file_name, *ssl_ciphers;
    int ssl_prefer_low_memory_usage;
};

typedef void (*socket_handler)(uws_websocket_t *, void *);
typedef void (*message_handler)(uws_websocket_t *, const char *, size_t, int opcode, void *);
typedef void (*ping_handler)(uws_websocket_t *, const char *, size_t, void *);
typedef void (*close_handler)(uws_websocket_t *, int code, const char *, size_t, void *);
typedef void (*upgrade_handler)(uws_res_t *, uws_req_t *, uws_socket_context_t *, void *);
typedef void (*subscription_handler)(uws_websocket_t *, const char *, size_t, int, int, void *);

typedef struct {
    int compression;
    unsigned int maxPayloadLength;
    unsigned short idleTimeout;
    unsigned int maxBackpressure;
    bool closeOnBackpressureLimit, resetIdleTimeoutOnSend, sendPingsAutomatically;
    unsigned short maxLifetime;
    upgrade_handler upgrade;
    socket_handler open;
    message_handler message;
    socket_handler drain;
    ping_handler ping, pong;
    close_handler close;
    subscription_handler subscription;
} uws_socket_behavior_t;

typedef void (*listen_handler)(void *socket, void *, void *);
struct listen_config { int port; const char *host; int options; };

uws_app_t *uws_create_app(int ssl, struct us_socket_context_options_t);
void uws_ws(int ssl, uws_app_t *, const char *pattern, uws_socket_behavior_t, void *);
void uws_app_listen_with_config(int ssl, uws_app_t *, struct listen_config, void (*)(void *, struct listen_config, void *), void *);
void uws_app_run(int ssl, uws_app_t *);
void *uws_get_loop(void);
void uws_loop_defer(void *loop, void (*)(void *), void *);
bool uws_publish(int ssl, uws_app_t *, const char *topic, size_t, const char *message, size_t, int opcode, bool compress);
bool uws_ws_subscribe(int ssl, uws_websocket_t *, const char *topic, size_t);
void *uws_ws_get_user_data(int ssl, uws_websocket_t *);
size_t uws_req_get_url(uws_req_t *, const char **);
size_t uws_req_get_header(uws_req_t *, const char *name, size_t, const char **);
void uws_res_upgrade(int ssl, uws_res_t *, void *data, const char *key, size_t, const char *protocol, size_t, const char *extensions, size_t,
                     uws_socket_context_t *);

enum { TEXT = 1 };

static uws_app_t *app;
// Messages that wait for the deferred callback: channel and payload, each with its length before it.
static char *queue;
static size_t queued, capacity;
static bool deferred;

static void put(const char *bytes, size_t length) {
    if (queued + sizeof length + length > capacity) {
        capacity = 2 * (queued + sizeof length + length);
        queue = realloc(queue, capacity);
    }
    memcpy(queue + queued, &length, sizeof length);
    memcpy(queue + queued + sizeof length, bytes, length);
    queued += sizeof length + length;
}

static const char *next(size_t *position, size_t *length) {
    memcpy(length, queue + *position, sizeof *length);
    const char *bytes = queue + *position + sizeof *length;
    *position += sizeof *length + *length;
    return bytes;
}

static void publish(void *unused) {
    deferred = false;
    for (size_t position = 0; position < queued;) {
        size_t topic_length, length;
        const char *topic = next(&position, &topic_length);
        const char *message = next(&position, &length);
        uws_publish(0, app, topic, topic_length, message, length, TEXT, false);
    }
    queued = 0;
}

// "/CHANNEL" is a watcher, "/publish" the one who publishes.
static void upgrade(uws_res_t *response, uws_req_t *request, uws_socket_context_t *context, void *unused) {
    const char *url, *key, *protocol, *extensions;
    size_t length = uws_req_get_url(request, &url);
    size_t key_length = uws_req_get_header(request, "sec-websocket-key", 17, &key);
    size_t protocol_length = uws_req_get_header(request, "sec-websocket-protocol", 22, &protocol);
    size_t extensions_length = uws_req_get_header(request, "sec-websocket-extensions", 24, &extensions);
    char digits[16] = {0};
    memcpy(digits, url + 1, length - 1 < 15 ? length - 1 : 15);
    intptr_t channel = digits[0] == 'p' ? -1 : atoi(digits);
    uws_res_upgrade(0, response, (void *)channel, key, key_length, protocol, protocol_length, extensions, extensions_length, context);
}

static void opened(uws_websocket_t *socket, void *unused) {
    intptr_t channel = (intptr_t)uws_ws_get_user_data(0, socket);
    if (channel < 0) return;
    char topic[16];
    uws_ws_subscribe(0, socket, topic, snprintf(topic, sizeof topic, "%d", (int)channel));
}

static void received(uws_websocket_t *socket, const char *message, size_t length, int opcode, void *unused) {
    const char *space = memchr(message, ' ', length);
    if (!space) return;
    put(message, space - message);
    put(space + 1, length - (space + 1 - message));
    if (!deferred) uws_loop_defer(uws_get_loop(), publish, NULL);
    deferred = true;
}

static void closed(uws_websocket_t *socket, int code, const char *message, size_t length, void *unused) {}
static void drained(uws_websocket_t *socket, void *unused) {}
static void pinged(uws_websocket_t *socket, const char *message, size_t length, void *unused) {}
static void subscribed(uws_websocket_t *socket, const char *topic, size_t length, int now, int before, void *unused) {}

static void listening(void *socket, struct listen_config config, void *unused) {
    if (!socket) exit(1);
    puts("listening");
    fflush(stdout);
}

int main(int count, char **words) {
    app = uws_create_app(0, (struct us_socket_context_options_t){0});
    uws_socket_behavior_t behavior = {
        .maxPayloadLength = 64 * 1024, .maxBackpressure = 64 * 1024 * 1024,
        .upgrade = upgrade, .open = opened, .message = received, .drain = drained, .ping = pinged, .pong = pinged, .close = closed,
        .subscription = subscribed,
    };
    uws_ws(0, app, "/*", behavior, NULL);
    uws_app_listen_with_config(0, app, (struct listen_config){.port = atoi(words[1]), .host = "127.0.0.1"}, listening, NULL);
    uws_app_run(0, app);
}
