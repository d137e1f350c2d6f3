#!/bin/sh
# Turns what flanneld says in subnet.env into options for dockerd. Flags, variables and exit codes are flannel's own, so
# that systemd units written for it go on working; docs/shipping.md has the table.

usage() {
	cat >&2 <<-TEXT
		Usage: $0 [-f FLANNEL-ENV-FILE] [-d DOCKER-ENV-FILE] [-i] [-c] [-m] [-k COMBINED-KEY]

		Writes Docker daemon options that fit the subnet that flanneld leased.
		  -f FILE  what flanneld wrote (default /run/flannel/subnet.env); skipped if it is not there
		  -d FILE  where the options go (default /run/docker_opts.env)
		  -i       write a variable for each option, DOCKER_OPT_*; with neither -i nor -c: both
		  -c       write one variable with all options
		  -k KEY   the name of that variable (default DOCKER_OPTS)
		  -m       leave --ip-masq out
	TEXT
	exit 1
}

fail() {
	printf '%s\n' "$1" >&2
	exit 1
}

flannel_file=/run/flannel/subnet.env
docker_file=/run/docker_opts.env
key=DOCKER_OPTS
each=false
combined=false
with_masquerade=true

while getopts f:d:icmk:h option; do
	case $option in
	f) flannel_file=$OPTARG ;;
	d) docker_file=$OPTARG ;;
	i) each=true ;;
	c) combined=true ;;
	m) with_masquerade=false ;;
	k) key=$OPTARG ;;
	*) usage ;;
	esac
done
if [ $each = false ] && [ $combined = false ]; then
	each=true
	combined=true
fi
# The key is evaluated below.
case $key in
'' | [0-9]* | *[!A-Za-z0-9_]*) fail "Invalid name of a variable: -k $key" ;;
esac

if [ -f "$flannel_file" ]; then
	# Without a slash the shell would look for it in PATH.
	case $flannel_file in
	*/*) . "$flannel_file" ;;
	*) . "./$flannel_file" ;;
	esac
fi

if [ -n "$FLANNEL_SUBNET" ]; then
	export DOCKER_OPT_BIP="--bip=$FLANNEL_SUBNET"
fi
if [ -n "$FLANNEL_MTU" ]; then
	export DOCKER_OPT_MTU="--mtu=$FLANNEL_MTU"
fi
# Whoever masquerades, only one of the two may.
if [ -n "$FLANNEL_IPMASQ" ] && [ $with_masquerade = true ]; then
	case $FLANNEL_IPMASQ in
	true) export DOCKER_OPT_IPMASQ=--ip-masq=false ;;
	false) export DOCKER_OPT_IPMASQ=--ip-masq=true ;;
	*) fail "Invalid value of FLANNEL_IPMASQ: $FLANNEL_IPMASQ" ;;
	esac
fi

newline='
'
text=
all=
for name in $(env | sed -n 's/^\(DOCKER_OPT_[A-Za-z0-9_]*\)=.*/\1/p' | LC_ALL=C sort -u); do
	eval "value=\$$name"
	# Not a variable but a line in the middle of another one's value.
	[ -n "$value" ] || continue
	[ $each = false ] || text="$text$name=\"$value\"$newline"
	all="$all $value"
done
if [ $combined = true ]; then
	eval "existing=\$$key"
	text="$text$key=\"${existing:+$existing }$all\"$newline"
fi
printf '%s' "$text" >"$docker_file" || exit 1

# Docker refuses an address whose network is routed elsewhere; said here it is easier to find.
if [ -n "$FLANNEL_SUBNET" ]; then
	address=${FLANNEL_SUBNET%/*}
	network=${address%.*}.$((${address##*.} - 1))/${FLANNEL_SUBNET#*/}
	route=$(ip route show 2>/dev/null | awk -v network="$network" '$1 == network && / via /')
	[ -z "$route" ] || fail "Your routing table already contains the subnet: $route"
fi
