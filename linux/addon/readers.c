/* Threads that collect what multicast groups say. Source: netlink(7), eventfd(2), Documentation/networking/filter.rst. */
#include "native.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

/* Events that JavaScript has not taken. What comes beyond is reported as an overrun. */
#define MAX_PENDING_BYTES (16u << 20)
#define MAX_GROUPS 64
#define MAX_IGNORED_TYPES 16

static const napi_type_tag READER_TAG = {0x83b05ce71f294ad6, 0x5e9042d7c618ab3f};

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

/*
 * Has the kernel drop what it would tell of requests that came from this port, of these types. A filter loads words in network
 * order, and netlink's are in the machine's. An errno, or 0.
 */
static int ignore_port(napi_env env, int fd, uint32_t port, napi_value types)
{
    uint32_t count = 0;
    if (napi_get_array_length(env, types, &count) != napi_ok || count > MAX_IGNORED_TYPES)
        return EINVAL;
    if (port == 0 || count == 0)
        return 0;
    struct sock_filter code[MAX_IGNORED_TYPES + 5];
    unsigned short length = 0;
    uint8_t to_drop = (uint8_t)count;
    code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                                                  offsetof(struct nlmsghdr, nlmsg_pid));
    code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(port), 0,
                                                  (uint8_t)(count + 1));
    code[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS,
                                                  offsetof(struct nlmsghdr, nlmsg_type));
    for (uint32_t i = 0; i < count; i++, to_drop--) {
        napi_value element;
        uint32_t type;
        if (napi_get_element(env, types, i, &element) != napi_ok ||
            napi_get_value_uint32(env, element, &type) != napi_ok || type > UINT16_MAX)
            return EINVAL;
        code[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
                                                      htons((uint16_t)type), to_drop, 0);
    }
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    code[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    struct sock_fprog program = {.len = length, .filter = code};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? errno : 0;
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
        int error = set_option(fd, NETLINK_ADD_MEMBERSHIP, group);
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

napi_value js_open_reader(napi_env env, napi_callback_info info)
{
    napi_value value[7];
    struct socket_wish wish = {0};
    int receive_bytes;
    uint32_t ignored_port;
    if (!arguments(env, info, 7, value) ||
        napi_get_value_int32(env, value[0], &wish.protocol) != napi_ok ||
        !read_path(env, value[1], wish.namespace, &wish.enter) ||
        napi_get_value_int32(env, value[3], &receive_bytes) != napi_ok ||
        napi_get_value_uint32(env, value[5], &ignored_port) != napi_ok)
        return misuse(env);
    int fd = open_socket(&wish, receive_bytes);
    if (fd < 0)
        return number(env, -fd);
    struct reader *r = calloc(1, sizeof *r);
    int error = r == NULL ? ENOMEM : ignore_port(env, fd, ignored_port, value[6]);
    if (error == 0)
        error = join_groups(env, fd, value[2]);
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

napi_value js_take_events(napi_env env, napi_callback_info info)
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

napi_value js_close_reader(napi_env env, napi_callback_info info)
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
