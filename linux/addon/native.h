/*
 * Netlink sockets and network namespaces for JavaScript, Node-API 8.
 *
 * Nothing here knows what a message means. An exchange sends messages and hands back what came, a
 * reader thread collects what a multicast group says, the kernel writes packets into memory that it
 * shares with a packet ring, a delay line's thread sends each frame later than it came, tables of
 * legacy iptables are read without what they count, UDP and ping sockets are opened in namespaces, and a
 * namespace is entered only by threads that end at once, so the threads of Node stay where they are.
 * Functions return an errno where JavaScript expects a value; JavaScript turns it into words.
 *
 * Sources: netlink(7), rtnetlink(7), packet(7), udp(7), setns(2), unshare(2), unix(7), flock(2), linux/netlink.h,
 * linux/if_packet.h, linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h,
 * Documentation/networking/packet_mmap.rst, Node-API.
 */
#ifndef TWILL_NATIVE_H
#define TWILL_NATIVE_H

#define NAPI_VERSION 8
#define _GNU_SOURCE
#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel fills at most 32 KiB at a time when it dumps. Source: net/netlink/af_netlink.c. */
#define RECEIVE_BYTES 32768
#define MAX_PATH_BYTES 4096

struct bytes {
    uint8_t *data;
    size_t length;
    size_t capacity;
};

struct socket_wish {
    int family;
    int protocol;
    bool enter;
    char namespace[MAX_PATH_BYTES];
    int fd; /* the result: a descriptor, or a negative errno */
};

bool reserve(struct bytes *b, size_t more);
void release(struct bytes *b);
/* A netlink descriptor, or a negative errno. */
int open_socket(struct socket_wish *wish, int receive_bytes);
/* A descriptor, or a negative errno. */
int open_where_wished(struct socket_wish *wish);
/* Only for threads that end at once. An errno, or 0. */
int enter_namespace(const char *path);
int set_option(int fd, int option, int value);
int run_in_thread(void *(*body)(void *), void *argument);
napi_value number(napi_env env, int value);
napi_value undefined(napi_env env);
bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);
napi_value misuse(napi_env env);
/* The native thing behind a handle, NULL when the value is no handle of that kind. */
void *unwrap(napi_env env, napi_value value, const napi_type_tag *tag);
napi_value wrap(napi_env env, void *thing, const napi_type_tag *tag, napi_finalize finalize);
napi_value to_buffer(napi_env env, const struct bytes *b);
bool byte_view(napi_env env, napi_value value, uint8_t **data, size_t *length);
/* Reads `path` (text that fits, without a zero byte) or null. */
bool read_path(napi_env env, napi_value value, char *path, bool *given);

/* What JavaScript calls. */
napi_value js_open_socket(napi_env env, napi_callback_info info);
napi_value js_socket_port(napi_env env, napi_callback_info info);
napi_value js_close_socket(napi_env env, napi_callback_info info);
napi_value js_exchange_sync(napi_env env, napi_callback_info info);
napi_value js_exchange(napi_env env, napi_callback_info info);
napi_value js_open_reader(napi_env env, napi_callback_info info);
napi_value js_take_events(napi_env env, napi_callback_info info);
napi_value js_close_reader(napi_env env, napi_callback_info info);
napi_value js_open_packet_ring(napi_env env, napi_callback_info info);
napi_value js_advance_packet_ring(napi_env env, napi_callback_info info);
napi_value js_read_packet_ring(napi_env env, napi_callback_info info);
napi_value js_close_packet_ring(napi_env env, napi_callback_info info);
napi_value js_open_delay_line(napi_env env, napi_callback_info info);
napi_value js_count_delay_line(napi_env env, napi_callback_info info);
napi_value js_close_delay_line(napi_env env, napi_callback_info info);
napi_value js_create_namespace(napi_env env, napi_callback_info info);
napi_value js_name_namespace(napi_env env, napi_callback_info info);
napi_value js_unname_namespace(napi_env env, napi_callback_info info);
napi_value js_send_datagram(napi_env env, napi_callback_info info);
napi_value js_lock_file(napi_env env, napi_callback_info info);
napi_value js_read_legacy_table(napi_env env, napi_callback_info info);
napi_value js_open_udp_socket(napi_env env, napi_callback_info info);
napi_value js_open_ping_socket(napi_env env, napi_callback_info info);

#endif
