/* Network namespaces and their names. Source: unshare(2), mount(2). */
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

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

napi_value js_create_namespace(napi_env env, napi_callback_info info)
{
    (void)info;
    int fd = -EINVAL;
    int error = run_in_thread(unshare_in_thread, &fd);
    return number(env, error != 0 ? -error : fd);
}

napi_value js_name_namespace(napi_env env, napi_callback_info info)
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

napi_value js_unname_namespace(napi_env env, napi_callback_info info)
{
    napi_value value[1];
    char path[MAX_PATH_BYTES];
    bool given;
    if (!arguments(env, info, 1, value) || !read_path(env, value[0], path, &given) || !given)
        return misuse(env);
    return number(env, umount2(path, MNT_DETACH) == 0 ? 0 : errno);
}
