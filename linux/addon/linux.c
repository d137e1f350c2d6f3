/*
 * Netlink sockets and network namespaces for JavaScript, Node-API 8.
 *
 * Nothing here knows what a message means. An exchange sends messages and hands back what came, a
 * reader thread collects what a multicast group says, the kernel writes packets into memory that it
 * shares with a packet ring, tables of legacy iptables are read without what they count, and a
 * namespace is entered only by threads that end at once, so the threads of Node stay where they are.
 * Functions return an errno where JavaScript expects a value; JavaScript turns it into words.
 *
 * Sources: netlink(7), rtnetlink(7), packet(7), setns(2), unshare(2), unix(7), flock(2), linux/netlink.h,
 * linux/if_packet.h, linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h,
 * Documentation/networking/packet_mmap.rst, Node-API.
 */
#define NAPI_VERSION 8
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <node_api.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif
#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

/* More messages in one system call gain nothing, and their answers must fit the receive buffer. */
#define CHUNK_MESSAGES 100
#define CHUNK_BYTES 32768
/* The kernel fills at most 32 KiB at a time when it dumps. Source: net/netlink/af_netlink.c. */
#define RECEIVE_BYTES 32768
/* Answers are there when send returns; waiting means that one was lost. */
#define ANSWER_SECONDS 30
/* Events that JavaScript has not taken. What comes beyond is reported as an overrun. */
#define MAX_PENDING_BYTES (16u << 20)
#define MAX_PATH_BYTES 4096
#define MAX_GROUPS 64
#define MAX_DATAGRAM_BYTES 4096

/* ---- bytes that grow ---- */

struct bytes {
    uint8_t *data;
    size_t length;
    size_t capacity;
};

static bool reserve(struct bytes *b, size_t more)
{
    if (b->capacity - b->length >= more)
        return true;
    size_t capacity = b->capacity == 0 ? RECEIVE_BYTES : b->capacity;
    while (capacity - b->length < more)
        capacity *= 2;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL)
        return false;
    b->data = data;
    b->capacity = capacity;
    return true;
}

static void release(struct bytes *b)
{
    free(b->data);
    *b = (struct bytes){0};
}

/* ---- threads that enter a namespace ---- */

struct socket_wish {
    int family;
    int protocol;
    bool enter;
    char namespace[MAX_PATH_BYTES];
    int fd; /* the result: a descriptor, or a negative errno */
};

/* Only for threads that end at once. An errno, or 0. */
static int enter_namespace(const char *path)
{
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (namespace < 0)
        return errno;
    int error = setns(namespace, CLONE_NEWNET) < 0 ? errno : 0;
    close(namespace);
    return error;
}

static void *open_in_thread(void *argument)
{
    struct socket_wish *wish = argument;
    int error = wish->enter ? enter_namespace(wish->namespace) : 0;
    if (error != 0) {
        wish->fd = -error;
        return NULL;
    }
    int fd = socket(wish->family, SOCK_RAW | SOCK_CLOEXEC, wish->protocol);
    wish->fd = fd < 0 ? -errno : fd;
    return NULL;
}

static int run_in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, argument);
    return error != 0 ? error : pthread_join(thread, NULL);
}

static int set(int fd, int option, int value)
{
    return setsockopt(fd, SOL_NETLINK, option, &value, sizeof value) < 0 ? errno : 0;
}

/* A descriptor, or a negative errno. */
static int open_where_wished(struct socket_wish *wish)
{
    if (wish->enter) {
        int error = run_in_thread(open_in_thread, wish);
        if (error != 0)
            return -error;
    } else {
        open_in_thread(wish);
    }
    return wish->fd;
}

/* A netlink descriptor, or a negative errno. */
static int open_socket(struct socket_wish *wish, int receive_bytes)
{
    wish->family = AF_NETLINK;
    int fd = open_where_wished(wish);
    if (fd < 0)
        return fd;
    int error = set(fd, NETLINK_EXT_ACK, 1);
    if (error == 0)
        error = set(fd, NETLINK_CAP_ACK, 1);
    if (error == 0)
        error = set(fd, NETLINK_GET_STRICT_CHK, 1);
    struct sockaddr_nl self = {.nl_family = AF_NETLINK};
    if (error == 0 && bind(fd, (struct sockaddr *)&self, sizeof self) < 0)
        error = errno;
    if (error != 0) {
        close(fd);
        return -error;
    }
    /* Beyond the system's limit only with the right to; then as much as the limit allows. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    return fd;
}

/* ---- exchanges ---- */

struct netlink_socket {
    int fd;
    unsigned in_flight;
    bool closed;
    bool forgotten; /* its handle is gone */
};

/* Closes and frees what nobody uses any more. All on the thread of JavaScript. */
static void settle(struct netlink_socket *s)
{
    if (s->in_flight > 0)
        return;
    if (s->closed && s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    if (s->forgotten)
        free(s);
}

/* Whether a message ends the answer to the request with this number. */
static bool ends(const struct nlmsghdr *message, uint32_t sequence)
{
    return message->nlmsg_seq == sequence &&
           (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE);
}

static bool is_success(const struct nlmsghdr *message)
{
    return message->nlmsg_type == NLMSG_ERROR &&
           message->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) &&
           ((const struct nlmsgerr *)NLMSG_DATA(message))->error == 0;
}

/* Receives until the answer to `last` has ended, keeping all but successes. An errno, or 0. */
static int collect(int fd, uint32_t last, struct bytes *into)
{
    for (;;) {
        if (!reserve(into, RECEIVE_BYTES))
            return ENOMEM;
        uint8_t *start = into->data + into->length;
        struct sockaddr_nl sender = {0};
        struct iovec part = {.iov_base = start, .iov_len = into->capacity - into->length};
        struct msghdr header = {.msg_name = &sender,
                                .msg_namelen = sizeof sender,
                                .msg_iov = &part,
                                .msg_iovlen = 1};
        ssize_t received = recvmsg(fd, &header, 0);
        if (received < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN ? ETIMEDOUT : errno;
        }
        if ((header.msg_flags & MSG_TRUNC) != 0)
            return EMSGSIZE;
        if (sender.nl_pid != 0)
            continue; /* only the kernel has port 0 */
        bool ended = false;
        size_t offset = 0;
        while ((size_t)received - offset >= sizeof(struct nlmsghdr)) {
            struct nlmsghdr *message = (struct nlmsghdr *)(start + offset);
            size_t length = message->nlmsg_len;
            if (length < sizeof *message || length > (size_t)received - offset)
                return EBADMSG;
            size_t padded = NLMSG_ALIGN(length);
            if (padded > (size_t)received - offset)
                padded = (size_t)received - offset;
            ended = ended || ends(message, last);
            if (!is_success(message)) {
                memmove(into->data + into->length, message, padded);
                into->length += padded;
            }
            offset += padded;
        }
        if (ended)
            return 0;
    }
}

/* An errno, or 0. */
static int send_all(int fd, const uint8_t *data, size_t length)
{
    for (;;) {
        ssize_t sent = send(fd, data, length, 0);
        if (sent == (ssize_t)length)
            return 0;
        if (sent >= 0)
            return EMSGSIZE;
        if (errno != EINTR)
            return errno;
    }
}

/*
 * Sends the messages in chunks, each acknowledged by its last message only: refusals come without
 * asking, and the last answer tells that there will be no more. An errno, or 0.
 */
static int exchange(int fd, uint8_t *data, size_t length, bool acknowledge, struct bytes *into)
{
    size_t offset = 0;
    while (offset < length) {
        size_t end = offset;
        struct nlmsghdr *last = NULL;
        for (unsigned count = 0; count < CHUNK_MESSAGES && end < length; count++) {
            struct nlmsghdr *message = (struct nlmsghdr *)(data + end);
            if (length - end < sizeof *message || message->nlmsg_len < sizeof *message ||
                message->nlmsg_len > length - end ||
                NLMSG_ALIGN(message->nlmsg_len) > length - end)
                return EBADMSG;
            size_t padded = NLMSG_ALIGN(message->nlmsg_len);
            if (last != NULL && end + padded - offset > CHUNK_BYTES)
                break;
            last = message;
            end += padded;
        }
        if (acknowledge)
            last->nlmsg_flags |= NLM_F_ACK;
        int error = send_all(fd, data + offset, end - offset);
        if (error == 0)
            error = collect(fd, last->nlmsg_seq, into);
        if (error != 0)
            return error;
        offset = end;
    }
    return 0;
}

/* ---- Node-API in short ---- */

static napi_value number(napi_env env, int value)
{
    napi_value result = NULL;
    napi_create_int32(env, value, &result);
    return result;
}

static napi_value undefined(napi_env env)
{
    napi_value result = NULL;
    napi_get_undefined(env, &result);
    return result;
}

static bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values)
{
    size_t given = count;
    return napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok && given == count;
}

static napi_value misuse(napi_env env)
{
    napi_throw_type_error(env, NULL, "linux addon called with wrong arguments");
    return NULL;
}

static const napi_type_tag SOCKET_TAG = {0x6f1d2b5c90a84e37, 0xa3c47d18e25b9f60};
static const napi_type_tag READER_TAG = {0x83b05ce71f294ad6, 0x5e9042d7c618ab3f};
static const napi_type_tag RING_TAG = {0x2c5fa9b7306e41d8, 0xd17483c0ef526b9a};

/* The native thing behind a handle, NULL when the value is no handle of that kind. */
static void *unwrap(napi_env env, napi_value value, const napi_type_tag *tag)
{
    bool matches = false;
    void *thing = NULL;
    if (napi_check_object_type_tag(env, value, tag, &matches) != napi_ok || !matches ||
        napi_unwrap(env, value, &thing) != napi_ok)
        return NULL;
    return thing;
}

static napi_value wrap(napi_env env, void *thing, const napi_type_tag *tag, napi_finalize finalize)
{
    napi_value object;
    if (napi_create_object(env, &object) != napi_ok ||
        napi_type_tag_object(env, object, tag) != napi_ok ||
        napi_wrap(env, object, thing, finalize, NULL, NULL) != napi_ok)
        return NULL;
    return object;
}

static napi_value to_buffer(napi_env env, const struct bytes *b)
{
    napi_value array_buffer;
    napi_value result = NULL;
    void *data = NULL;
    if (napi_create_arraybuffer(env, b->length, &data, &array_buffer) != napi_ok)
        return NULL;
    if (b->length > 0)
        memcpy(data, b->data, b->length);
    napi_create_typedarray(env, napi_uint8_array, b->length, array_buffer, 0, &result);
    return result;
}

static bool byte_view(napi_env env, napi_value value, uint8_t **data, size_t *length)
{
    napi_typedarray_type type;
    void *start = NULL;
    if (napi_get_typedarray_info(env, value, &type, length, &start, NULL, NULL) != napi_ok ||
        type != napi_uint8_array || (uintptr_t)start % NLMSG_ALIGNTO != 0)
        return false;
    *data = start;
    return true;
}

/* Reads `path` (text that fits, without a zero byte) or null. */
static bool read_path(napi_env env, napi_value value, char *path, bool *given)
{
    napi_valuetype type;
    size_t length = 0;
    if (napi_typeof(env, value, &type) != napi_ok)
        return false;
    *given = type != napi_null;
    if (!*given)
        return true;
    return type == napi_string &&
           napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok &&
           length > 0 && length < MAX_PATH_BYTES &&
           napi_get_value_string_utf8(env, value, path, MAX_PATH_BYTES, &length) == napi_ok &&
           strlen(path) == length;
}

/* ---- sockets ---- */

static void finalize_socket(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    struct netlink_socket *s = data;
    s->closed = true;
    s->forgotten = true;
    settle(s);
}

static napi_value js_open_socket(napi_env env, napi_callback_info info)
{
    napi_value value[3];
    struct socket_wish wish = {0};
    int receive_bytes;
    if (!arguments(env, info, 3, value) ||
        napi_get_value_int32(env, value[0], &wish.protocol) != napi_ok ||
        !read_path(env, value[1], wish.namespace, &wish.enter) ||
        napi_get_value_int32(env, value[2], &receive_bytes) != napi_ok)
        return misuse(env);
    int fd = open_socket(&wish, receive_bytes);
    if (fd < 0)
        return number(env, -fd);
    struct timeval limit = {.tv_sec = ANSWER_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    struct netlink_socket *s = calloc(1, sizeof *s);
    if (s == NULL) {
        close(fd);
        return number(env, ENOMEM);
    }
    s->fd = fd;
    napi_value handle = wrap(env, s, &SOCKET_TAG, finalize_socket);
    if (handle == NULL)
        finalize_socket(env, s, NULL);
    return handle;
}

static napi_value js_close_socket(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    struct netlink_socket *s;
    if (!arguments(env, info, 1, value) || (s = unwrap(env, value[0], &SOCKET_TAG)) == NULL)
        return misuse(env);
    s->closed = true;
    settle(s);
    return undefined(env);
}

static bool exchange_arguments(napi_env env, napi_callback_info info, napi_value value[3],
                               struct netlink_socket **s, uint8_t **data, size_t *length,
                               bool *acknowledge)
{
    return arguments(env, info, 3, value) &&
           (*s = unwrap(env, value[0], &SOCKET_TAG)) != NULL &&
           byte_view(env, value[1], data, length) &&
           napi_get_value_bool(env, value[2], acknowledge) == napi_ok;
}

static napi_value js_exchange_sync(napi_env env, napi_callback_info info)
{
    napi_value value[3];
    struct netlink_socket *s;
    uint8_t *data;
    size_t length;
    bool acknowledge;
    if (!exchange_arguments(env, info, value, &s, &data, &length, &acknowledge))
        return misuse(env);
    if (s->closed)
        return number(env, EBADF);
    struct bytes received = {0};
    int error = exchange(s->fd, data, length, acknowledge, &received);
    napi_value result = error != 0 ? number(env, error) : to_buffer(env, &received);
    release(&received);
    return result;
}

struct exchange_work {
    struct netlink_socket *socket;
    napi_ref socket_reference;
    napi_ref data_reference;
    napi_async_work work;
    napi_deferred deferred;
    uint8_t *data;
    size_t length;
    bool acknowledge;
    int error;
    struct bytes received;
};

static void execute_exchange(napi_env env, void *data)
{
    (void)env;
    struct exchange_work *w = data;
    w->error = exchange(w->socket->fd, w->data, w->length, w->acknowledge, &w->received);
}

static void free_exchange(napi_env env, struct exchange_work *w)
{
    if (w->work != NULL)
        napi_delete_async_work(env, w->work);
    if (w->data_reference != NULL)
        napi_delete_reference(env, w->data_reference);
    if (w->socket_reference != NULL)
        napi_delete_reference(env, w->socket_reference);
    release(&w->received);
    free(w);
}

/* Also runs when the environment is being torn down; then JavaScript can be told nothing any more. */
static void complete_exchange(napi_env env, napi_status status, void *data)
{
    struct exchange_work *w = data;
    int error = status == napi_ok ? w->error : ECANCELED;
    napi_value result = error != 0 ? number(env, error) : to_buffer(env, &w->received);
    if (result == NULL)
        result = number(env, ENOMEM);
    if (result != NULL)
        napi_resolve_deferred(env, w->deferred, result);
    w->socket->in_flight--;
    settle(w->socket);
    free_exchange(env, w);
}

static napi_value js_exchange(napi_env env, napi_callback_info info)
{
    napi_value value[3];
    napi_value promise;
    napi_value name;
    struct exchange_work *w = calloc(1, sizeof *w);
    if (w == NULL)
        return number(env, ENOMEM);
    if (!exchange_arguments(env, info, value, &w->socket, &w->data, &w->length,
                            &w->acknowledge)) {
        free_exchange(env, w);
        return misuse(env);
    }
    if (w->socket->closed) {
        free_exchange(env, w);
        return number(env, EBADF);
    }
    if (napi_create_reference(env, value[0], 1, &w->socket_reference) != napi_ok ||
        napi_create_reference(env, value[1], 1, &w->data_reference) != napi_ok ||
        napi_create_string_utf8(env, "netlink exchange", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_async_work(env, NULL, name, execute_exchange, complete_exchange, w,
                               &w->work) != napi_ok ||
        napi_create_promise(env, &w->deferred, &promise) != napi_ok) {
        free_exchange(env, w);
        return number(env, ENOMEM);
    }
    w->socket->in_flight++;
    if (napi_queue_async_work(env, w->work) != napi_ok) {
        w->socket->in_flight--;
        napi_resolve_deferred(env, w->deferred, number(env, ENOMEM));
        free_exchange(env, w);
    }
    return promise;
}

/* ---- readers ---- */

/*
 *   kernel ── recv ──► thread ──► pending (under the lock) ──► takeEvents ──► JavaScript
 *                        └── wake: says that something is pending; one such call waits at most
 *
 * The thread ends when `stop` can be read. Whoever comes first ends it: closeReader, or the end of
 * the environment.
 */
struct reader {
    napi_env env;
    int fd;
    int stop;
    bool stopped;
    pthread_t thread;
    napi_threadsafe_function wake;
    pthread_mutex_t lock;
    struct bytes pending; /* the rest is under the lock */
    bool overrun;
    int error;
};

/* Adds a datagram to what is pending, or marks that it is lost. */
static void keep(struct reader *r, const uint8_t *data, size_t length)
{
    pthread_mutex_lock(&r->lock);
    size_t padded = NLMSG_ALIGN(length);
    if (r->pending.length + padded > MAX_PENDING_BYTES || !reserve(&r->pending, padded)) {
        r->overrun = true;
    } else {
        memset(r->pending.data + r->pending.length, 0, padded);
        memcpy(r->pending.data + r->pending.length, data, length);
        r->pending.length += padded;
    }
    pthread_mutex_unlock(&r->lock);
}

static void mark_overrun(struct reader *r)
{
    pthread_mutex_lock(&r->lock);
    r->overrun = true;
    pthread_mutex_unlock(&r->lock);
}

static void mark_error(struct reader *r, int error)
{
    pthread_mutex_lock(&r->lock);
    r->error = error;
    pthread_mutex_unlock(&r->lock);
}

enum outcome { RECEIVED, NOTHING, LOST, BROKEN };

static enum outcome receive_event(struct reader *r, uint8_t *buffer, size_t size)
{
    struct sockaddr_nl sender = {0};
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr header = {.msg_name = &sender,
                            .msg_namelen = sizeof sender,
                            .msg_iov = &part,
                            .msg_iovlen = 1};
    ssize_t received;
    do {
        received = recvmsg(r->fd, &header, MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received < 0) {
        if (errno == EAGAIN)
            return NOTHING;
        if (errno == ENOBUFS)
            return LOST;
        mark_error(r, errno);
        return BROKEN;
    }
    if ((header.msg_flags & MSG_TRUNC) != 0)
        return LOST;
    if (sender.nl_pid == 0)
        keep(r, buffer, (size_t)received);
    return RECEIVED;
}

/* A full queue holds a wake-up that will find what this one is about. */
static void wake(struct reader *r)
{
    napi_call_threadsafe_function(r->wake, NULL, napi_tsfn_nonblocking);
}

/*
 * After the kernel said that events were lost, it goes on dropping, in silence, until everything it
 * has queued is received. So the loss is told only then: a dump made after it misses nothing.
 * Source: net/netlink/af_netlink.c, NETLINK_S_CONGESTED.
 */
static void *read_events(void *argument)
{
    struct reader *r = argument;
    static const size_t size = 2 * RECEIVE_BYTES;
    uint8_t *buffer = malloc(size);
    bool lost = false;
    enum outcome outcome = NOTHING;
    if (buffer == NULL) {
        mark_error(r, ENOMEM);
        outcome = BROKEN;
    }
    while (outcome != BROKEN) {
        struct pollfd watched[2] = {{.fd = r->fd, .events = POLLIN},
                                    {.fd = r->stop, .events = POLLIN}};
        if (poll(watched, 2, lost ? 0 : -1) < 0 && errno != EINTR) {
            mark_error(r, errno);
            break;
        }
        if (watched[1].revents != 0)
            break;
        if (watched[0].revents == 0 && !lost)
            continue;
        outcome = receive_event(r, buffer, size);
        if (outcome == LOST) {
            lost = true;
        } else if (outcome == NOTHING && lost) {
            lost = false;
            mark_overrun(r);
            wake(r);
        } else if (outcome == RECEIVED) {
            wake(r);
        }
    }
    free(buffer);
    wake(r);
    return NULL;
}

static void stop_reader(struct reader *r)
{
    if (r->stopped)
        return;
    r->stopped = true;
    uint64_t one = 1;
    while (write(r->stop, &one, sizeof one) < 0 && errno == EINTR)
        ;
    pthread_join(r->thread, NULL);
    napi_release_threadsafe_function(r->wake, napi_tsfn_abort);
    close(r->fd);
    close(r->stop);
    pthread_mutex_lock(&r->lock);
    release(&r->pending);
    pthread_mutex_unlock(&r->lock);
}

static void stop_at_exit(void *data)
{
    stop_reader(data);
}

static void finalize_reader(napi_env env, void *data, void *hint)
{
    (void)hint;
    struct reader *r = data;
    if (!r->stopped) {
        napi_remove_env_cleanup_hook(env, stop_at_exit, r);
        stop_reader(r);
    }
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* An exception in the handler becomes an uncaught exception of JavaScript, not the end of the process. */
static void call_wake(napi_env env, napi_value wake, void *context, void *data)
{
    (void)context;
    (void)data;
    if (env == NULL || wake == NULL)
        return;
    if (napi_call_function(env, undefined(env), wake, 0, NULL, NULL) != napi_pending_exception)
        return;
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok)
        napi_fatal_exception(env, error);
}

/* Joins multicast groups; an errno, or 0. */
static int join_groups(napi_env env, int fd, napi_value groups)
{
    uint32_t count = 0;
    if (napi_get_array_length(env, groups, &count) != napi_ok || count > MAX_GROUPS)
        return EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        napi_value element;
        int group;
        if (napi_get_element(env, groups, i, &element) != napi_ok ||
            napi_get_value_int32(env, element, &group) != napi_ok)
            return EINVAL;
        int error = set(fd, NETLINK_ADD_MEMBERSHIP, group);
        if (error != 0)
            return error;
    }
    return 0;
}

/* Makes the stop descriptor, the wake-up and the thread; an errno, or 0 and nothing left behind. */
static int start_reader(napi_env env, struct reader *r, napi_value wake)
{
    napi_value name;
    r->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (r->stop < 0)
        return errno;
    if (napi_create_string_utf8(env, "netlink events", NAPI_AUTO_LENGTH, &name) != napi_ok ||
        napi_create_threadsafe_function(env, wake, NULL, name, 1, 1, NULL, NULL, NULL, call_wake,
                                        &r->wake) != napi_ok) {
        close(r->stop);
        return ENOMEM;
    }
    int error = pthread_create(&r->thread, NULL, read_events, r);
    if (error != 0) {
        napi_release_threadsafe_function(r->wake, napi_tsfn_abort);
        close(r->stop);
    }
    return error;
}

static napi_value js_open_reader(napi_env env, napi_callback_info info)
{
    napi_value value[5];
    struct socket_wish wish = {0};
    int receive_bytes;
    if (!arguments(env, info, 5, value) ||
        napi_get_value_int32(env, value[0], &wish.protocol) != napi_ok ||
        !read_path(env, value[1], wish.namespace, &wish.enter) ||
        napi_get_value_int32(env, value[3], &receive_bytes) != napi_ok)
        return misuse(env);
    int fd = open_socket(&wish, receive_bytes);
    if (fd < 0)
        return number(env, -fd);
    struct reader *r = calloc(1, sizeof *r);
    int error = r == NULL ? ENOMEM : join_groups(env, fd, value[2]);
    if (error == 0) {
        r->env = env;
        r->fd = fd;
        pthread_mutex_init(&r->lock, NULL);
        error = start_reader(env, r, value[4]);
    }
    if (error != 0) {
        close(fd);
        free(r);
        return number(env, error);
    }
    napi_add_env_cleanup_hook(env, stop_at_exit, r);
    napi_value handle = wrap(env, r, &READER_TAG, finalize_reader);
    if (handle == NULL)
        finalize_reader(env, r, NULL);
    return handle;
}

static napi_value js_take_events(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    struct reader *r;
    if (!arguments(env, info, 1, value) || (r = unwrap(env, value[0], &READER_TAG)) == NULL)
        return misuse(env);
    pthread_mutex_lock(&r->lock);
    struct bytes taken = r->pending;
    bool overrun = r->overrun;
    int error = r->error;
    r->pending = (struct bytes){0};
    r->overrun = false;
    pthread_mutex_unlock(&r->lock);
    napi_value result;
    napi_value bytes = to_buffer(env, &taken);
    release(&taken);
    napi_value overrun_value;
    if (bytes == NULL || napi_create_object(env, &result) != napi_ok ||
        napi_get_boolean(env, overrun, &overrun_value) != napi_ok)
        return NULL;
    napi_set_named_property(env, result, "bytes", bytes);
    napi_set_named_property(env, result, "overrun", overrun_value);
    napi_set_named_property(env, result, "errno", number(env, error));
    return result;
}

static napi_value js_close_reader(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    struct reader *r;
    if (!arguments(env, info, 1, value) || (r = unwrap(env, value[0], &READER_TAG)) == NULL)
        return misuse(env);
    if (!r->stopped) {
        napi_remove_env_cleanup_hook(env, stop_at_exit, r);
        stop_reader(r);
    }
    return undefined(env);
}

/* ---- packet rings ---- */

/* A slot holds one packet behind its headers, as far as there is room. */
#define SLOT_BYTES 512u
#define BLOCK_BYTES 65536u
#define SLOTS_PER_BLOCK (BLOCK_BYTES / SLOT_BYTES)
#define MAX_BLOCKS 4096u
/* Of the ring this part is left to the kernel, for what comes before the next call. */
#define FREE_PART 4u

/*
 * Memory that the kernel writes every packet of a namespace into, slot by slot. It writes only where
 * a slot was given back, and what lies in one stays readable until then: so the oldest are given
 * back as late as possible, and the rest is the record of the last moments.
 */
struct packet_ring {
    int fd;
    uint8_t *memory;
    uint32_t slots;
    /* The oldest that is kept, and how many are. */
    uint32_t oldest;
    uint32_t kept;
    /* Since the ring was opened; the kernel forgets its own count when asked. */
    uint32_t lost;
};

/* What comes before each packet for JavaScript. */
struct packet_head {
    uint32_t seconds;
    uint32_t nanoseconds;
    uint32_t link;
    uint32_t type;
    uint32_t length;
    uint32_t captured;
};

static struct tpacket2_hdr *slot_at(const struct packet_ring *r, uint32_t index)
{
    return (struct tpacket2_hdr *)(r->memory + (size_t)(index % r->slots) * SLOT_BYTES);
}

static void advance_ring(struct packet_ring *r)
{
    while (r->kept < r->slots &&
           (__atomic_load_n(&slot_at(r, r->oldest + r->kept)->tp_status, __ATOMIC_ACQUIRE) &
            TP_STATUS_USER))
        r->kept++;
    while (r->kept > r->slots - r->slots / FREE_PART) {
        __atomic_store_n(&slot_at(r, r->oldest)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        r->oldest = (r->oldest + 1) % r->slots;
        r->kept--;
    }
}

static void count_lost(struct packet_ring *r)
{
    struct tpacket_stats statistics;
    socklen_t size = sizeof statistics;
    if (getsockopt(r->fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
        r->lost += statistics.tp_drops;
}

static bool keep_packet(const struct packet_ring *r, uint32_t index, struct bytes *into)
{
    const struct tpacket2_hdr *slot = slot_at(r, index);
    const struct sockaddr_ll *from =
        (const struct sockaddr_ll *)((const uint8_t *)slot + TPACKET_ALIGN(sizeof *slot));
    struct packet_head head = {
        .seconds = slot->tp_sec,
        .nanoseconds = slot->tp_nsec,
        .link = (uint32_t)from->sll_ifindex,
        .type = from->sll_pkttype,
        .length = slot->tp_len,
        .captured = slot->tp_snaplen,
    };
    if (!reserve(into, sizeof head + head.captured))
        return false;
    memcpy(into->data + into->length, &head, sizeof head);
    memcpy(into->data + into->length + sizeof head, (const uint8_t *)slot + slot->tp_mac,
           head.captured);
    into->length += sizeof head + head.captured;
    return true;
}

/* An errno, or 0. The socket takes packets only when it is bound: none comes before the ring is there. */
static int map_ring(struct packet_ring *r, uint32_t blocks)
{
    int version = TPACKET_V2;
    struct tpacket_req wanted = {
        .tp_block_size = BLOCK_BYTES,
        .tp_block_nr = blocks,
        .tp_frame_size = SLOT_BYTES,
        .tp_frame_nr = blocks * SLOTS_PER_BLOCK,
    };
    if (setsockopt(r->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
        setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &wanted, sizeof wanted) < 0)
        return errno;
    void *memory = mmap(NULL, (size_t)blocks * BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if (memory == MAP_FAILED)
        return errno;
    r->memory = memory;
    r->slots = wanted.tp_frame_nr;
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    return bind(r->fd, (struct sockaddr *)&all, sizeof all) < 0 ? errno : 0;
}

static void close_ring(struct packet_ring *r)
{
    if (r->memory != NULL)
        munmap(r->memory, (size_t)r->slots * SLOT_BYTES);
    if (r->fd >= 0)
        close(r->fd);
    r->memory = NULL;
    r->fd = -1;
}

static void finalize_ring(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    close_ring(data);
    free(data);
}

static napi_value js_open_packet_ring(napi_env env, napi_callback_info info)
{
    napi_value value[2];
    struct socket_wish wish = {.family = AF_PACKET};
    uint32_t blocks;
    if (!arguments(env, info, 2, value) ||
        !read_path(env, value[0], wish.namespace, &wish.enter) ||
        napi_get_value_uint32(env, value[1], &blocks) != napi_ok || blocks == 0 ||
        blocks > MAX_BLOCKS)
        return misuse(env);
    int fd = open_where_wished(&wish);
    if (fd < 0)
        return number(env, -fd);
    struct packet_ring *r = calloc(1, sizeof *r);
    if (r == NULL) {
        close(fd);
        return number(env, ENOMEM);
    }
    r->fd = fd;
    int error = map_ring(r, blocks);
    napi_value handle = error == 0 ? wrap(env, r, &RING_TAG, finalize_ring) : number(env, error);
    if (error != 0 || handle == NULL)
        finalize_ring(env, r, NULL);
    return handle;
}

/* The ring that was given, if it is open. */
static struct packet_ring *ring_argument(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    struct packet_ring *r;
    if (!arguments(env, info, 1, value) || (r = unwrap(env, value[0], &RING_TAG)) == NULL)
        return NULL;
    return r;
}

static napi_value js_advance_packet_ring(napi_env env, napi_callback_info info)
{
    struct packet_ring *r = ring_argument(env, info);
    if (r == NULL || r->memory == NULL)
        return misuse(env);
    advance_ring(r);
    return undefined(env);
}

static napi_value js_read_packet_ring(napi_env env, napi_callback_info info)
{
    struct packet_ring *r = ring_argument(env, info);
    if (r == NULL || r->memory == NULL)
        return misuse(env);
    advance_ring(r);
    count_lost(r);
    struct bytes packets = {0};
    bool complete = true;
    for (uint32_t i = 0; complete && i < r->kept; i++)
        complete = keep_packet(r, r->oldest + i, &packets);
    napi_value result, lost, bytes = complete ? to_buffer(env, &packets) : NULL;
    release(&packets);
    if (bytes == NULL || napi_create_object(env, &result) != napi_ok ||
        napi_create_uint32(env, r->lost, &lost) != napi_ok ||
        napi_set_named_property(env, result, "bytes", bytes) != napi_ok ||
        napi_set_named_property(env, result, "lost", lost) != napi_ok)
        return number(env, ENOMEM);
    return result;
}

static napi_value js_close_packet_ring(napi_env env, napi_callback_info info)
{
    struct packet_ring *r = ring_argument(env, info);
    if (r == NULL)
        return misuse(env);
    close_ring(r);
    return undefined(env);
}

/* ---- namespaces ---- */

static void *unshare_in_thread(void *argument)
{
    int *fd = argument;
    if (unshare(CLONE_NEWNET) < 0) {
        *fd = -errno;
        return NULL;
    }
    *fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (*fd < 0)
        *fd = -errno;
    return NULL;
}

static napi_value js_create_namespace(napi_env env, napi_callback_info info)
{
    (void)info;
    int fd = -EINVAL;
    int error = run_in_thread(unshare_in_thread, &fd);
    return number(env, error != 0 ? -error : fd);
}

static napi_value js_name_namespace(napi_env env, napi_callback_info info)
{
    napi_value value[2];
    int namespace;
    char path[MAX_PATH_BYTES];
    bool given;
    if (!arguments(env, info, 2, value) ||
        napi_get_value_int32(env, value[0], &namespace) != napi_ok ||
        !read_path(env, value[1], path, &given) || !given)
        return misuse(env);
    int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (fd < 0)
        return number(env, errno);
    close(fd);
    char source[64];
    snprintf(source, sizeof source, "/proc/self/fd/%d", namespace);
    if (mount(source, path, "none", MS_BIND, NULL) == 0)
        return number(env, 0);
    int error = errno;
    unlink(path);
    return number(env, error);
}

static napi_value js_unname_namespace(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    char path[MAX_PATH_BYTES];
    bool given;
    if (!arguments(env, info, 1, value) || !read_path(env, value[0], path, &given) || !given)
        return misuse(env);
    return number(env, umount2(path, MNT_DETACH) == 0 ? 0 : errno);
}

/* ---- tables of legacy iptables ---- */

/* A table that changes again each time is not read. */
#define MAX_READS 10
/* Five names at most. Source: proc files of net/netfilter/x_tables.c. */
#define MAX_NAMES_BYTES 512

/* Both families say the same in structures of their own. */
struct legacy_family {
    int level;
    const char *names;
    size_t head; /* of ipt_get_entries */
    size_t entry;
    size_t next;
    size_t comefrom;
    size_t counters;
};

static const struct legacy_family LEGACY_IPV4 = {
    .level = IPPROTO_IP,
    .names = "/proc/thread-self/net/ip_tables_names",
    .head = offsetof(struct ipt_get_entries, entrytable),
    .entry = sizeof(struct ipt_entry),
    .next = offsetof(struct ipt_entry, next_offset),
    .comefrom = offsetof(struct ipt_entry, comefrom),
    .counters = offsetof(struct ipt_entry, counters),
};

static const struct legacy_family LEGACY_IPV6 = {
    .level = IPPROTO_IPV6,
    .names = "/proc/thread-self/net/ip6_tables_names",
    .head = offsetof(struct ip6t_get_entries, entrytable),
    .entry = sizeof(struct ip6t_entry),
    .next = offsetof(struct ip6t_entry, next_offset),
    .comefrom = offsetof(struct ip6t_entry, comefrom),
    .counters = offsetof(struct ip6t_entry, counters),
};

_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo) &&
                   IPT_SO_GET_INFO == IP6T_SO_GET_INFO && IPT_SO_GET_ENTRIES == IP6T_SO_GET_ENTRIES &&
                   offsetof(struct ipt_get_entries, size) == offsetof(struct ip6t_get_entries, size),
               "both families ask in the same words");

struct legacy_read {
    int family;
    char table[XT_TABLE_MAXNAMELEN];
    bool enter;
    char namespace[MAX_PATH_BYTES];
    /* The results: nothing where the table is not in use. */
    struct bytes found;
    int error;
};

/* Asking for a table makes it, so that is asked elsewhere whether it is there. An errno, or 0. */
static int is_in_use(const struct legacy_family *f, const char *table, bool *in_use)
{
    char names[MAX_NAMES_BYTES];
    *in_use = false;
    int fd = open(f->names, O_RDONLY | O_CLOEXEC);
    /* Without the file nobody ever used a table of this family, if files are there at all. */
    if (fd < 0)
        return errno == ENOENT && access("/proc/thread-self/net", F_OK) == 0 ? 0 : errno;
    ssize_t length = read(fd, names, sizeof names - 1);
    int error = length < 0 ? errno : 0;
    close(fd);
    if (error != 0)
        return error;
    names[length] = '\0';
    char *rest = names;
    for (char *name; (name = strsep(&rest, "\n")) != NULL;)
        *in_use = *in_use || strcmp(name, table) == 0;
    return 0;
}

/* Zeroes what packets change, and what the kernel notes down for itself. An errno, or 0. */
static int forget_counters(const struct legacy_family *f, uint8_t *entries, size_t length)
{
    for (size_t offset = 0; offset < length;) {
        uint16_t next;
        if (length - offset < f->entry)
            return EBADMSG;
        uint8_t *entry = entries + offset;
        memcpy(&next, entry + f->next, sizeof next);
        if (next < f->entry || next > length - offset)
            return EBADMSG;
        memset(entry + f->comefrom, 0, sizeof(unsigned int));
        memset(entry + f->counters, 0, sizeof(struct xt_counters));
        offset += next;
    }
    return 0;
}

/* An errno, or 0; EAGAIN when the table was replaced by one of another size meanwhile. */
static int read_table(const struct legacy_family *f, int fd, struct legacy_read *r)
{
    struct ipt_getinfo info = {0};
    socklen_t size = sizeof info;
    memcpy(info.name, r->table, sizeof info.name);
    if (getsockopt(fd, f->level, IPT_SO_GET_INFO, &info, &size) < 0)
        return errno;
    size_t length = f->head + info.size;
    r->found.length = 0;
    if (!reserve(&r->found, sizeof info + length))
        return ENOMEM;
    uint8_t *request = r->found.data + sizeof info;
    /* All of it: behind the end of a name the kernel writes nothing. */
    memset(request, 0, length);
    memcpy(request, r->table, sizeof r->table);
    memcpy(request + offsetof(struct ipt_get_entries, size), &info.size, sizeof info.size);
    size = length;
    if (getsockopt(fd, f->level, IPT_SO_GET_ENTRIES, request, &size) < 0)
        return errno;
    memcpy(r->found.data, &info, sizeof info);
    r->found.length = sizeof info + length;
    return forget_counters(f, request + f->head, info.size);
}

static void *read_legacy_table(void *argument)
{
    struct legacy_read *r = argument;
    const struct legacy_family *f = r->family == AF_INET ? &LEGACY_IPV4 : &LEGACY_IPV6;
    bool in_use = false;
    r->error = r->enter ? enter_namespace(r->namespace) : 0;
    if (r->error == 0)
        r->error = is_in_use(f, r->table, &in_use);
    if (!in_use)
        return NULL;
    /* Any socket of the family will do; one for datagrams asks for no right but CAP_NET_ADMIN. */
    int fd = socket(r->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        r->error = errno;
        return NULL;
    }
    r->error = EAGAIN;
    for (unsigned reads = 0; r->error == EAGAIN && reads < MAX_READS; reads++)
        r->error = read_table(f, fd, r);
    close(fd);
    return NULL;
}

static napi_value js_read_legacy_table(napi_env env, napi_callback_info info)
{
    napi_value value[3];
    struct legacy_read r = {0};
    size_t length = 0;
    if (!arguments(env, info, 3, value) || !read_path(env, value[0], r.namespace, &r.enter) ||
        napi_get_value_int32(env, value[1], &r.family) != napi_ok ||
        (r.family != AF_INET && r.family != AF_INET6) ||
        napi_get_value_string_utf8(env, value[2], NULL, 0, &length) != napi_ok ||
        length >= sizeof r.table ||
        napi_get_value_string_utf8(env, value[2], r.table, sizeof r.table, &length) != napi_ok)
        return misuse(env);
    int error = 0;
    if (r.enter)
        error = run_in_thread(read_legacy_table, &r);
    else
        read_legacy_table(&r);
    if (error == 0)
        error = r.error;
    napi_value result = error == 0 ? to_buffer(env, &r.found) : number(env, error);
    release(&r.found);
    return result;
}

/* ---- what Node has no call for ---- */

static int send_datagram(const char *socket_path, const char *text, size_t length)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t name = strlen(socket_path);
    if (name >= sizeof address.sun_path)
        return ENAMETOOLONG;
    memcpy(address.sun_path, socket_path, name);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    /* The name of an abstract socket is as long as the address says; that of a file ends with a zero. */
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + name;
    ssize_t sent = sendto(fd, text, length, MSG_NOSIGNAL | MSG_DONTWAIT,
                          (struct sockaddr *)&address, size);
    int error = sent < 0 ? errno : 0;
    close(fd);
    return error;
}

static napi_value js_send_datagram(napi_env env, napi_callback_info info)
{
    napi_value value[2];
    char path[MAX_PATH_BYTES];
    char text[MAX_DATAGRAM_BYTES];
    size_t length = 0;
    bool given;
    if (!arguments(env, info, 2, value) || !read_path(env, value[0], path, &given) || !given ||
        napi_get_value_string_utf8(env, value[1], NULL, 0, &length) != napi_ok)
        return misuse(env);
    if (length >= sizeof text)
        return number(env, EMSGSIZE);
    napi_get_value_string_utf8(env, value[1], text, sizeof text, &length);
    return number(env, send_datagram(path, text, length));
}

static napi_value js_lock_file(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    int descriptor;
    if (!arguments(env, info, 1, value) ||
        napi_get_value_int32(env, value[0], &descriptor) != napi_ok)
        return misuse(env);
    return number(env, flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno);
}

NAPI_MODULE_INIT()
{
    static const struct {
        const char *name;
        napi_callback call;
    } functions[] = {
        {"openSocket", js_open_socket},           {"closeSocket", js_close_socket},
        {"exchange", js_exchange},                {"exchangeSync", js_exchange_sync},
        {"openReader", js_open_reader},           {"takeEvents", js_take_events},
        {"closeReader", js_close_reader},         {"createNamespace", js_create_namespace},
        {"nameNamespace", js_name_namespace},     {"unnameNamespace", js_unname_namespace},
        {"openPacketRing", js_open_packet_ring},  {"advancePacketRing", js_advance_packet_ring},
        {"readPacketRing", js_read_packet_ring},  {"closePacketRing", js_close_packet_ring},
        {"sendDatagram", js_send_datagram},       {"lockFile", js_lock_file},
        {"readLegacyTable", js_read_legacy_table},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        napi_value function;
        if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call,
                                 NULL, &function) != napi_ok ||
            napi_set_named_property(env, exports, functions[i].name, function) != napi_ok)
            return NULL;
    }
    return exports;
}
