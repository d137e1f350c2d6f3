/** Every backend, one line each; `main.ts` finds them by their `type`. */
export { hostGw } from "./host-gw/index.ts";
export { vxlan } from "./vxlan/index.ts";
