/** The unix socket of the service manager: Node has no unix datagrams of its own. */
export { sendDatagram } from "linux";
