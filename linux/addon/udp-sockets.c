/*
 * UDP sockets that stay in the network namespace where they were made, whoever reads them.
 * Source: udp(7), ip(7), ipv6(7), setns(2).
 */
#include "native.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct udp_wish {
    const char *namespace; /* NULL: the process's own */
    int family;
    int port;
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

static void *open_udp_socket(void *argument)
{
    struct udp_wish *wish = argument;
    int error = wish->namespace == NULL ? 0 : enter_namespace(wish->namespace);
    if (error != 0) {
        wish->fd = -error;
        return NULL;
    }
    int fd = socket(wish->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
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

napi_value js_open_udp_socket(napi_env env, napi_callback_info info)
{
    napi_value value[3];
    char path[MAX_PATH_BYTES];
    bool given;
    struct udp_wish wish = {0};
    if (!arguments(env, info, 3, value) || !read_path(env, value[0], path, &given) ||
        napi_get_value_int32(env, value[1], &wish.family) != napi_ok ||
        napi_get_value_int32(env, value[2], &wish.port) != napi_ok ||
        (wish.family != AF_INET && wish.family != AF_INET6) || wish.port < 0 ||
        wish.port > UINT16_MAX)
        return misuse(env);
    wish.namespace = given ? path : NULL;
    int error = run_in_thread(open_udp_socket, &wish);
    return number(env, error != 0 ? -error : wish.fd);
}
