"use strict";

// `npm run test:sanitizers`: what the native half does to memory, watched while the tests run. Linux on x86-64 or arm64, with
// a nightly Rust that has the component rust-src, and binutils.
//
//   npm run test:sanitizers              both of them
//   npm run test:sanitizers -- address   AddressSanitizer and LeakSanitizer over the addon, under files of __test__
//   npm run test:sanitizers -- thread    ThreadSanitizer over the tests of the crate, with a standard library built for it
//
// Further words choose files of __test__. Each first has to find a defect that is there on purpose: src/os/faults.rs.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { check, checkNode, coreOf, finish, testFiles } = require("./checks");
const { root, run } = require("./support");

const KINDS = ["address", "thread"];

/** Files of __test__ in which memory changes hands, or threads end, in further ways than in the core. */
const FURTHER = [
  "arrival",
  "back-pressure",
  "bad-input-http",
  "engine-handover",
  "hazard-listener-throws",
  "hazard-order",
  "hazard-server-close",
  "kept-connections",
  "mirror-commands",
  "native-tls",
  "native-tls-clients",
  "native-tls-hostile",
  "native-tls-sessions",
  "polling-road",
  "process-exit",
  "streams",
  "vulnerabilities",
];

/** What LeakSanitizer is not to report, and why. */
const KNOWN_LEAKS = [
  // the constructors of classes, of which napi-rs keeps one reference each for an environment: Node does not delete those of the
  // main thread when the process ends
  "leak:napi::bindgen_runtime::module_register::register_classes",
  // what napi-rs has for the end of an object that is wrapped: of one that there is when the process ends, it is not called
  "leak:napi::bindgen_runtime::callback_info::CallbackInfo*::_construct",
];

/** A frame of a stack that says which file the code is in. */
const STACK_FRAME = "    #%n %p in %f %S (%m)";

const words = process.argv.slice(2);
const kinds = KINDS.filter((kind) => words.includes(kind));
const filters = words.filter((word) => !KINDS.includes(word));

const folder = path.join(root, "target", "sanitizers");
const logs = path.join(folder, "logs");
const addon = path.join(folder, "sockeye.node");
const target = `${process.arch === "arm64" ? "aarch64" : "x86_64"}-unknown-linux-gnu`;
const built = path.join(root, "target", target);

for (const kind of kinds.length > 0 ? kinds : KINDS) {
  if (kind === "address") watchAddresses();
  else watchThreads();
}
finish();

/** How cargo is run, with everything instrumented. */
function cargo(sanitizer, args) {
  const env = {
    ...process.env,
    // stacks without frame pointers are guessed, and what is not optimised at all takes the tests' time
    RUSTFLAGS: `-Zsanitizer=${sanitizer} -Cforce-frame-pointers=yes`,
    CARGO_PROFILE_DEV_OPT_LEVEL: "1",
  };
  return { args: ["+nightly", ...args, "--features", "faults", "--target", target], env };
}

/** The addon under the tests of the package. */
function watchAddresses() {
  const runtime = path.join(folder, "address.so");
  const isBuilt = check("addon with AddressSanitizer", () => {
    fs.mkdirSync(folder, { recursive: true });
    const { args, env } = cargo("address", ["build", "--lib"]);
    if (!makeRuntime(runtime) || !run("cargo", args, { env })) return false;
    fs.copyFileSync(path.join(built, "debug", "libsockeye.so"), addon);
    return true;
  });
  if (!isBuilt) return;
  fs.writeFileSync(path.join(folder, "leaks.txt"), `${KNOWN_LEAKS.join("\n")}\n`);
  // a process ends as it would: Node does not free everything
  const env = {
    LD_PRELOAD: runtime,
    SOCKEYE_BINDING: addon,
    // everything takes twice as long
    SIO_LIMIT: "60000",
    // what has been freed is kept from being used again for a while, but not so much of it that tests of memory notice
    ASAN_OPTIONS: `detect_leaks=1:exitcode=0:abort_on_error=1:quarantine_size_mb=32:log_path=${path.join(logs, "report")}:stack_trace_format="${STACK_FRAME}"`,
    LSAN_OPTIONS: `print_suppressions=0:suppressions=${path.join(folder, "leaks.txt")}`,
  };
  const isSeeing = [
    ["leak", /Direct leak of 12345 byte[^]*os::faults::leak/],
    ["useAfterFree", /AddressSanitizer: heap-use-after-free[^]*os::faults::use_after_free/],
  ].map(([fault, report]) =>
    check(`finds what ${fault} does`, () => {
      emptyLogs();
      const source = `require(process.env.SOCKEYE_BINDING).${fault}()`;
      spawnSync(process.execPath, ["-e", source], { env: { ...process.env, ...env } });
      return report.test(reports());
    }),
  );
  if (isSeeing.includes(false)) return;
  emptyLogs();
  const all = testFiles(filters);
  const isFurther = (file) => FURTHER.includes(path.basename(file, ".test.js"));
  const files = filters.length > 0 ? all : [...coreOf(all), ...all.filter(isFurther)];
  checkNode("node --test, under AddressSanitizer", files, { env });
  check("no report", () => {
    console.log(reports() || `none, from ${files.length} files`);
    return reports() === "";
  });
}

/**
 * Makes a library of AddressSanitizer's runtime that a process can be begun with: an addon is loaded by a program that has none.
 * Its name must not be that of another runtime, which it would refuse to run beside.
 */
function makeRuntime(file) {
  const { stdout, status } = spawnSync("rustc", ["+nightly", "--print", "sysroot"], { encoding: "utf8" });
  if (status !== 0) {
    console.log("a nightly Rust is missing: `rustup toolchain install nightly --component rust-src miri`");
    return false;
  }
  const archive = path.join(folder, "runtime.a");
  const name = "librustc-nightly_rt.asan.a";
  fs.copyFileSync(path.join(stdout.trim(), "lib", "rustlib", target, "lib", name), archive);
  const members = spawnSync("ar", ["t", archive], { encoding: "utf8" }).stdout.split("\n");
  // what runs before the libraries of a program are there can only be in the program
  const unwanted = members.filter((member) => member.includes("preinit"));
  const whole = ["-Wl,--whole-archive", archive, "-Wl,--no-whole-archive"];
  return (
    run("ar", ["d", archive, ...unwanted]) &&
    run("cc", ["-shared", "-o", file, ...whole, "-lpthread", "-ldl", "-lm", "-lrt"])
  );
}

function emptyLogs() {
  fs.rmSync(logs, { recursive: true, force: true });
  fs.mkdirSync(logs, { recursive: true });
}

/** What has been reported since the logs were emptied, without what Node and V8 have not freed when a process ends. */
function reports() {
  const all = fs.readdirSync(logs).flatMap((file) => {
    const paragraphs = fs.readFileSync(path.join(logs, file), "utf8").split("\n\n");
    return paragraphs.filter(
      (text) => text.trim() !== "" && !/^\s*(=*\s*==\d+==ERROR: Leak|SUMMARY)/.test(text),
    );
  });
  return all.filter((text) => !/^\s*(Direct|Indirect) leak/.test(text) || isOfAddon(text)).join("\n\n");
}

/** Whether it is the addon that has asked for the memory: its frames come first behind those of allocators. */
function isOfAddon(leak) {
  const modules = [...leak.matchAll(/^ *#\d+ .*\((.+)\)$/gm)].map(([, file]) => file.split("+")[0]);
  const asker = modules.find((file) => file === addon || file === process.execPath);
  return asker === addon;
}

/** The tests of the crate. */
function watchThreads() {
  const { args, env } = cargo("thread", ["test", "--lib", "-Zbuild-std"]);
  if (!check("tests with ThreadSanitizer", () => run("cargo", [...args, "--no-run"], { env }))) return;
  const isSeeing = check("finds a race", () => {
    const name = "os::faults::a_race";
    const all = [...args, "--", "--exact", name, "--ignored"];
    const { stdout, stderr } = spawnSync("cargo", all, { cwd: root, env, encoding: "utf8" });
    return /WARNING: ThreadSanitizer: data race[^]*os::faults::a_race/.test(stdout + stderr);
  });
  if (isSeeing) check("cargo test, under ThreadSanitizer", () => run("cargo", args, { env }));
}
