/* Tables of legacy iptables. Source: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h. */
#include "native.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

napi_value js_read_legacy_table(napi_env env, napi_callback_info info)
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
