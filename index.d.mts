// what index.mjs exports is what the CommonJS module has
export * from "./index.js";
