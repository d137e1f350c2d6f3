/*
 * Netlink sockets and their exchanges. A namespace is entered only by threads that end at once, so the
 * threads of Node stay where they are. Source: netlink(7), rtnetlink(7), setns(2), linux/netlink.h.
 */
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
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
/* Answers are there when send returns; waiting means that one was lost. */
#define ANSWER_SECONDS 30

static const napi_type_tag SOCKET_TAG = {0x6f1d2b5c90a84e37, 0xa3c47d18e25b9f60};

int enter_namespace(const char *path)
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

int run_in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, argument);
    return error != 0 ? error : pthread_join(thread, NULL);
}

int set_option(int fd, int option, int value)
{
    return setsockopt(fd, SOL_NETLINK, option, &value, sizeof value) < 0 ? errno : 0;
}

int open_where_wished(struct socket_wish *wish)
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

int open_socket(struct socket_wish *wish, int receive_bytes)
{
    wish->family = AF_NETLINK;
    int fd = open_where_wished(wish);
    if (fd < 0)
        return fd;
    int error = set_option(fd, NETLINK_EXT_ACK, 1);
    if (error == 0)
        error = set_option(fd, NETLINK_CAP_ACK, 1);
    if (error == 0)
        error = set_option(fd, NETLINK_GET_STRICT_CHK, 1);
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

static void finalize_socket(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    struct netlink_socket *s = data;
    s->closed = true;
    s->forgotten = true;
    settle(s);
}

napi_value js_open_socket(napi_env env, napi_callback_info info)
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

/* What the kernel calls the socket in messages and events about its requests. Source: netlink(7), nl_pid. */
napi_value js_socket_port(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    napi_value port;
    struct netlink_socket *s;
    if (!arguments(env, info, 1, value) || (s = unwrap(env, value[0], &SOCKET_TAG)) == NULL)
        return misuse(env);
    struct sockaddr_nl self = {0};
    socklen_t length = sizeof self;
    if (s->closed || getsockname(s->fd, (struct sockaddr *)&self, &length) < 0)
        self.nl_pid = 0;
    return napi_create_uint32(env, self.nl_pid, &port) == napi_ok ? port : NULL;
}

napi_value js_close_socket(napi_env env, napi_callback_info info)
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

napi_value js_exchange_sync(napi_env env, napi_callback_info info)
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

napi_value js_exchange(napi_env env, napi_callback_info info)
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
