/** The `Backend` object of the network config, for vxlan, and the `BackendData` of a vxlan lease. */
import { AgentError } from "../../core/errors.ts";
import { openObject } from "../../core/json-object.ts";
import { isUnicastMac, parseMac } from "../../core/mac.ts";
import type { Mac } from "../../core/mac.ts";
import type { Log } from "../../system/log.ts";

export interface VxlanOptions {
  readonly vni: number;
  readonly port: number;
  /** MTU to assume of the external interface; its own when undefined. */
  readonly mtu: number | undefined;
  readonly gbp: boolean;
  readonly learning: boolean;
  readonly directRouting: boolean;
}

/** Source: RFC 7348 section 5, a field of 24 bits. */
const VNI_MAX = 0xff_ffff;
/** What the reference reads of a peer, whatever it can use. */
const PUBLISHED_VNI = { max: 0xffff_ffff };
const PORT_MAX = 0xffff;
/** Largest MTU of a device. Source: linux/if_ether.h ETH_MAX_MTU. */
const MTU_MAX = 65_535;
/** Linux's own default, which the reference leaves it to; IANA's is 4789. Source: linux drivers/net/vxlan. */
const DEFAULT_PORT = 8472;

const OPTION_NAMES = ["Type", "VNI", "Port", "MTU", "GBP", "Learning", "DirectRouting"];
/** Meant for Windows nodes of the same cluster. */
const FOREIGN_NAMES = ["Name", "MacPrefix"];

/** Source: spec 05 section 2.1. @throws AgentError "config-invalid" naming the option */
export function parseVxlanOptions(value: unknown, log: Log): VxlanOptions {
  const reader = openObject(value, "Backend vxlan");
  const unknown = reader.unknownNames([...OPTION_NAMES, ...FOREIGN_NAMES]);
  if (unknown.length > 0)
    log.warn({ unknown, known: OPTION_NAMES }, "ignoring unknown options of the vxlan backend");
  const port = reader.integer("Port", 0, { max: PORT_MAX });
  const mtu = reader.integer("MTU", 0, { max: MTU_MAX });
  return {
    vni: reader.integer("VNI", 1, { max: VNI_MAX }),
    port: port === 0 ? DEFAULT_PORT : port,
    mtu: mtu === 0 ? undefined : mtu,
    gbp: reader.boolean("GBP", false),
    learning: reader.boolean("Learning", false),
    directRouting: reader.boolean("DirectRouting", false),
  };
}

/** What a node tells its peers, one for each family. */
export interface VxlanData {
  /** Absent in the leases of flannel before 0.20. */
  readonly vni: number | undefined;
  readonly vtepMac: Mac;
}

/** Members in the order the reference writes them. */
export function formatVxlanData(vni: number, vtepMac: Mac): unknown {
  return { VNI: vni, VtepMAC: vtepMac };
}

/** @throws AgentError "config-invalid" */
export function parseVxlanData(value: unknown): VxlanData {
  const reader = openObject(value, "backend data");
  const vni = reader.integer("VNI", undefined, PUBLISHED_VNI);
  const text = reader.string("VtepMAC", undefined);
  if (text === undefined) throw new AgentError("config-invalid", "backend data: no VtepMAC");
  const vtepMac = parseMac(text);
  if (!isUnicastMac(vtepMac))
    throw new AgentError("config-invalid", `backend data: VtepMAC ${vtepMac} is no station's`);
  return { vni, vtepMac };
}
