import { requires } from "linux/testing";
import { hostDriverContract } from "./host-driver.contract.ts";

requires("lab")("namespaces", () => {
  hostDriverContract("netns");
});

requires("lab", "docker")("containers", () => {
  hostDriverContract("container");
});
