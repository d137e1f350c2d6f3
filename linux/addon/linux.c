/* The addon: what JavaScript finds in it. */
#include "native.h"

NAPI_MODULE_INIT()
{
    static const struct {
        const char *name;
        napi_callback call;
    } functions[] = {
        {"openSocket", js_open_socket},           {"closeSocket", js_close_socket},
        {"socketPort", js_socket_port},
        {"exchange", js_exchange},                {"exchangeSync", js_exchange_sync},
        {"openReader", js_open_reader},           {"takeEvents", js_take_events},
        {"closeReader", js_close_reader},         {"createNamespace", js_create_namespace},
        {"nameNamespace", js_name_namespace},     {"unnameNamespace", js_unname_namespace},
        {"openPacketRing", js_open_packet_ring},  {"advancePacketRing", js_advance_packet_ring},
        {"readPacketRing", js_read_packet_ring},  {"closePacketRing", js_close_packet_ring},
        {"openDelayLine", js_open_delay_line},    {"countDelayLine", js_count_delay_line},
        {"closeDelayLine", js_close_delay_line},
        {"sendDatagram", js_send_datagram},       {"lockFile", js_lock_file},
        {"readLegacyTable", js_read_legacy_table}, {"openUdpSocket", js_open_udp_socket},
        {"openPingSocket", js_open_ping_socket},
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
