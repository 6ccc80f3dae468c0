// what engine.io.mjs exports is what the CommonJS module has
export * from "./engine.io.js";
