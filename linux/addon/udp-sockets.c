/*
 * UDP and ping sockets that stay in the network namespace where they were made, whoever reads them.
 * Source: udp(7), icmp(7), ip(7), ipv6(7), setns(2); the kernel's net/ipv4/ping.c: a ping socket is a datagram
 * socket, and what UDP calls a port is the number by which the kernel tells whose answer it is.
 */
#include "native.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct datagram_wish {
    const char *namespace; /* NULL: the process's own */
    int family;
    int protocol;
    int port; /* 0: any */
    int fd; /* the result: a descriptor, or a negative errno */
};

/* An errno, or 0. */
static int bind_to_port(int fd, int family, int port)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 ipv6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_ipv6 = family == AF_INET6;
    int only = 1;
    if (is_ipv6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only) < 0)
        return errno;
    struct sockaddr *address = is_ipv6 ? (struct sockaddr *)&ipv6 : (struct sockaddr *)&ipv4;
    return bind(fd, address, is_ipv6 ? sizeof ipv6 : sizeof ipv4) < 0 ? errno : 0;
}

static void *open_datagram_socket(void *argument)
{
    struct datagram_wish *wish = argument;
    int error = wish->namespace == NULL ? 0 : enter_namespace(wish->namespace);
    if (error != 0) {
        wish->fd = -error;
        return NULL;
    }
    int fd = socket(wish->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, wish->protocol);
    if (fd < 0) {
        wish->fd = -errno;
        return NULL;
    }
    error = bind_to_port(fd, wish->family, wish->port);
    if (error != 0)
        close(fd);
    wish->fd = error != 0 ? -error : fd;
    return NULL;
}

/* Of arguments `namespace, family`. False: misused. */
static bool read_wish(napi_env env, napi_value value[], char path[MAX_PATH_BYTES],
                      struct datagram_wish *wish)
{
    bool given;
    if (!read_path(env, value[0], path, &given) ||
        napi_get_value_int32(env, value[1], &wish->family) != napi_ok ||
        (wish->family != AF_INET && wish->family != AF_INET6))
        return false;
    wish->namespace = given ? path : NULL;
    return true;
}

static napi_value open_as_wished(napi_env env, struct datagram_wish *wish)
{
    int error = run_in_thread(open_datagram_socket, wish);
    return number(env, error != 0 ? -error : wish->fd);
}

napi_value js_open_udp_socket(napi_env env, napi_callback_info info)
{
    napi_value value[3];
    char path[MAX_PATH_BYTES];
    struct datagram_wish wish = {.protocol = IPPROTO_UDP};
    if (!arguments(env, info, 3, value) || !read_wish(env, value, path, &wish) ||
        napi_get_value_int32(env, value[2], &wish.port) != napi_ok || wish.port < 0 ||
        wish.port > UINT16_MAX)
        return misuse(env);
    return open_as_wished(env, &wish);
}

napi_value js_open_ping_socket(napi_env env, napi_callback_info info)
{
    napi_value value[2];
    char path[MAX_PATH_BYTES];
    struct datagram_wish wish = {0};
    if (!arguments(env, info, 2, value) || !read_wish(env, value, path, &wish))
        return misuse(env);
    wish.protocol = wish.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    return open_as_wished(env, &wish);
}
