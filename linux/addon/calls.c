/* What Node has no call for. Source: unix(7), flock(2). */
#include "native.h"
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_DATAGRAM_BYTES 4096

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

napi_value js_send_datagram(napi_env env, napi_callback_info info)
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

napi_value js_lock_file(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    int descriptor;
    if (!arguments(env, info, 1, value) ||
        napi_get_value_int32(env, value[0], &descriptor) != napi_ok)
        return misuse(env);
    return number(env, flock(descriptor, LOCK_EX | LOCK_NB) == 0 ? 0 : errno);
}
