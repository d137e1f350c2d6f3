/**
 * Runs a program of one file with the compiled code of all functions that a run before it used: `node kept-code.cjs PROGRAM …`. Node's own
 * compile cache keeps what V8 compiles while it loads a file, and none of what it compiles when a function is first called: of an agent's
 * start that is a thousand functions.
 *
 * The code is kept in the directory of that cache, under the name of the program's directory, which has to change with the program. This file is
 * CommonJS without types, since it is a part of every start.
 */
"use strict";
const { readFileSync, renameSync, rmSync, writeFileSync } = require("node:fs");
const nodeModule = require("node:module");
const path = require("node:path");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");

/** By then the first peers of a new cluster have come, too. */
const SETTLED_MS = 2000;
/**
 * V8 takes compiled code only from a process that had the flags of this one, and the agent and the lab's supervisor set one while they run.
 * Source: agent/src/system/small-heap.ts, system/small-heap.ts; `node --v8-options`.
 */
const FLAG_AT_START = "--semi-space-growth-factor=2";
const FLAG_WHILE_IT_RUNS = "--semi-space-growth-factor=1";

const [program] = process.argv.splice(2, 1);
process.argv[1] = program;

/** Undefined where nothing is to be kept. */
function placeOfCode() {
  const directory = nodeModule.getCompileCacheDir();
  return directory && path.join(directory, `${path.basename(path.dirname(program))}.code`);
}

function readIfThere(file) {
  try {
    return readFileSync(file);
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whole or not at all; where it cannot be written the next start compiles again. */
function keep(script, place) {
  setFlagsFromString(FLAG_AT_START);
  const code = script.createCachedData();
  setFlagsFromString(FLAG_WHILE_IT_RUNS);
  const draft = `${place}.${process.pid}`;
  try {
    writeFileSync(draft, code);
    renameSync(draft, place);
  } catch {
    rmSync(draft, { force: true });
  }
}

/** A program asks for its code to be kept when it is ready, as it would ask Node. */
function keepWhenSettled(script, place) {
  const { flushCompileCache } = nodeModule;
  nodeModule.flushCompileCache = () => {
    nodeModule.flushCompileCache = flushCompileCache;
    setTimeout(() => keep(script, place), SETTLED_MS).unref();
    flushCompileCache();
  };
}

const place = placeOfCode();
const cachedData = place && readIfThere(place);
const source = readFileSync(program, "utf8").replace(/^#!.*/, "");
// As Node wraps every CommonJS module.
const wrapper = `(function (exports, require, module, __filename, __dirname) {${source}\n})`;
const script = new Script(wrapper, { filename: program, cachedData });
if (place !== undefined && script.cachedDataRejected !== false) keepWhenSettled(script, place);

const own = new nodeModule.Module(program);
own.filename = program;
const require_ = nodeModule.createRequire(program);
script.runInThisContext()(own.exports, require_, own, program, path.dirname(program));
