/*
 * The yardstick of `pnpm bench`: programs vxlan peers with as little around the kernel's own work as possible.
 *
 *     program-peers batch|single nexthop|plain COUNT DEVICE
 *
 * batch: 100 messages a send, an acknowledgement for the last of them. single: one message a send, each acknowledged, as
 * flannel's library does. Peer number i has the subnet 10.(i/256).(i%256).0/24, the MAC 0e:00:00:00:(i/256):(i%256) and the public
 * address 198.18.(i/256).(i%256), counted from 1. All messages are made before the clock starts; the kernel is asked to create or replace, in
 * the order FDB entries, neighbours, nexthops, routes. Prints milliseconds and the messages that the kernel refused.
 * Source: netlink(7), rtnetlink(7), linux/neighbour.h, linux/nexthop.h, linux/rtnetlink.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 100, MESSAGE_BYTES = 96, PROTOCOL_TWILL = 116, RECEIVE_BYTES = 1 << 16 };

static unsigned char *messages;
static size_t used;
static size_t *ends;
static unsigned count;

static struct nlmsghdr *begin(uint16_t type, const void *body, size_t body_bytes) {
	struct nlmsghdr *header = (struct nlmsghdr *)(messages + used);
	memset(header, 0, MESSAGE_BYTES);
	header->nlmsg_len = NLMSG_LENGTH(body_bytes);
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE;
	header->nlmsg_seq = count + 1;
	memcpy(NLMSG_DATA(header), body, body_bytes);
	return header;
}

static void attribute(struct nlmsghdr *header, uint16_t type, const void *value, size_t bytes) {
	struct rtattr *rta = (struct rtattr *)((unsigned char *)header + NLMSG_ALIGN(header->nlmsg_len));
	rta->rta_type = type;
	rta->rta_len = RTA_LENGTH(bytes);
	memcpy(RTA_DATA(rta), value, bytes);
	header->nlmsg_len = NLMSG_ALIGN(header->nlmsg_len) + RTA_ALIGN(rta->rta_len);
}

static void end(struct nlmsghdr *header) {
	used += NLMSG_ALIGN(header->nlmsg_len);
	ends[count++] = used;
}

static uint32_t subnet_of(unsigned peer) { return htonl(0x0a000000u | peer << 8); }
static uint32_t public_ip_of(unsigned peer) { return htonl(0xc6120000u + peer); }
static void mac_of(unsigned peer, unsigned char mac[6]) {
	const unsigned char value[6] = {0x0e, 0, 0, 0, (unsigned char)(peer >> 8), (unsigned char)peer};
	memcpy(mac, value, sizeof value);
}

static void put_fdb_entry(unsigned peer, int device) {
	const struct ndmsg body = {
		.ndm_family = AF_BRIDGE, .ndm_ifindex = device, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_SELF};
	unsigned char mac[6];
	mac_of(peer, mac);
	const uint32_t destination = public_ip_of(peer);
	struct nlmsghdr *header = begin(RTM_NEWNEIGH, &body, sizeof body);
	attribute(header, NDA_LLADDR, mac, sizeof mac);
	attribute(header, NDA_DST, &destination, sizeof destination);
	end(header);
}

static void put_neighbour(unsigned peer, int device) {
	const struct ndmsg body = {.ndm_family = AF_INET, .ndm_ifindex = device, .ndm_state = NUD_PERMANENT};
	unsigned char mac[6];
	mac_of(peer, mac);
	const uint32_t address = subnet_of(peer);
	struct nlmsghdr *header = begin(RTM_NEWNEIGH, &body, sizeof body);
	attribute(header, NDA_DST, &address, sizeof address);
	attribute(header, NDA_LLADDR, mac, sizeof mac);
	end(header);
}

static void put_nexthop(unsigned peer, int device) {
	const struct nhmsg body = {.nh_family = AF_INET, .nh_protocol = PROTOCOL_TWILL, .nh_flags = RTNH_F_ONLINK};
	const uint32_t id = peer, gateway = subnet_of(peer), output = (uint32_t)device;
	struct nlmsghdr *header = begin(RTM_NEWNEXTHOP, &body, sizeof body);
	attribute(header, NHA_ID, &id, sizeof id);
	attribute(header, NHA_GATEWAY, &gateway, sizeof gateway);
	attribute(header, NHA_OIF, &output, sizeof output);
	end(header);
}

static void put_route(unsigned peer, int device, int with_nexthop) {
	const struct rtmsg body = {
		.rtm_family = AF_INET, .rtm_dst_len = 24, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT,
		.rtm_scope = RT_SCOPE_UNIVERSE, .rtm_type = RTN_UNICAST, .rtm_flags = with_nexthop ? 0 : RTNH_F_ONLINK};
	const uint32_t id = peer, destination = subnet_of(peer), output = (uint32_t)device;
	struct nlmsghdr *header = begin(RTM_NEWROUTE, &body, sizeof body);
	attribute(header, RTA_DST, &destination, sizeof destination);
	if (with_nexthop) {
		attribute(header, RTA_NH_ID, &id, sizeof id);
	} else {
		attribute(header, RTA_GATEWAY, &destination, sizeof destination);
		attribute(header, RTA_OIF, &output, sizeof output);
	}
	end(header);
}

static void fail(const char *what) {
	fprintf(stderr, "program-peers: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Sends the messages from..to and reads until the last is acknowledged; returns how many were refused. */
static unsigned exchange(int descriptor, unsigned from, unsigned to) {
	static unsigned char answers[RECEIVE_BYTES];
	const size_t start = from == 0 ? 0 : ends[from - 1], last = to - 1 == from ? start : ends[to - 2];
	((struct nlmsghdr *)(messages + last))->nlmsg_flags |= NLM_F_ACK;
	if (send(descriptor, messages + start, ends[to - 1] - start, 0) < 0) fail("send");
	unsigned refused = 0;
	for (;;) {
		ssize_t left = recv(descriptor, answers, sizeof answers, 0);
		if (left < 0) fail("receive");
		struct nlmsghdr *answer = (struct nlmsghdr *)answers;
		for (; NLMSG_OK(answer, left); answer = NLMSG_NEXT(answer, left)) {
			if (answer->nlmsg_type != NLMSG_ERROR) continue;
			const struct nlmsgerr *error = NLMSG_DATA(answer);
			if (error->error != 0) refused++;
			if (answer->nlmsg_seq == to) return refused;
		}
	}
}

int main(int argc, char **argv) {
	if (argc != 5) {
		fputs("usage: program-peers batch|single nexthop|plain COUNT DEVICE\n", stderr);
		return 64;
	}
	const unsigned step = strcmp(argv[1], "batch") == 0 ? BATCH : 1;
	const int with_nexthops = strcmp(argv[2], "nexthop") == 0;
	const unsigned peers = (unsigned)strtoul(argv[3], NULL, 10);
	const int device = (int)if_nametoindex(argv[4]);
	if (device == 0) fail(argv[4]);
	messages = malloc((size_t)peers * 4 * MESSAGE_BYTES + MESSAGE_BYTES);
	ends = malloc((size_t)peers * 4 * sizeof *ends);
	if (messages == NULL || ends == NULL) fail("memory");
	for (unsigned peer = 1; peer <= peers; peer++) put_fdb_entry(peer, device);
	for (unsigned peer = 1; peer <= peers; peer++) put_neighbour(peer, device);
	for (unsigned peer = 1; with_nexthops && peer <= peers; peer++) put_nexthop(peer, device);
	for (unsigned peer = 1; peer <= peers; peer++) put_route(peer, device, with_nexthops);

	const int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (descriptor < 0) fail("socket");
	struct timespec started, ended;
	unsigned refused = 0;
	clock_gettime(CLOCK_MONOTONIC, &started);
	for (unsigned from = 0; from < count; from += step)
		refused += exchange(descriptor, from, from + step < count ? from + step : count);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	const double ms = (double)(ended.tv_sec - started.tv_sec) * 1e3 + (double)(ended.tv_nsec - started.tv_nsec) / 1e6;
	printf("{\"ms\":%.3f,\"messages\":%u,\"refused\":%u}\n", ms, count, refused);
	return refused == 0 ? 0 : 1;
}
