"use strict";

/** What each Proxy stands for. */
const originals = new WeakMap();

/**
 * Has somebody told of every change of an object, and of plain objects and arrays in it. The object itself stays as it is:
 * whoever does not go by way of what this returns neither notices it nor is noticed.
 * @param {object} data
 * @param {() => void} onChange
 * @returns {object} to be used in its place
 */
function watchData(data, onChange) {
  const proxies = new WeakMap();
  const handler = {
    get(target, key) {
      const value = Reflect.get(target, key);
      return isWatchable(value) && !isFixed(target, key) ? proxyOf(value) : value;
    },
    set(target, key, value) {
      const isSet = Reflect.set(target, key, originalOf(value));
      if (isSet) onChange();
      return isSet;
    },
    deleteProperty(target, key) {
      const isDeleted = Reflect.deleteProperty(target, key);
      if (isDeleted) onChange();
      return isDeleted;
    },
  };
  const proxyOf = (target) => {
    let proxy = proxies.get(target);
    if (proxy === undefined) {
      proxy = new Proxy(target, handler);
      proxies.set(target, proxy);
      originals.set(proxy, target);
    }
    return proxy;
  };
  return proxyOf(originalOf(data));
}

/** What a value stands for, itself in most cases. */
function originalOf(value) {
  return originals.get(value) ?? value;
}

/** Others may have what only they themselves get at: a Map, a Date, a class with private fields. */
function isWatchable(value) {
  if (typeof value !== "object" || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null || Array.isArray(value);
}

/** Whether a Proxy has to show a property as it is. */
function isFixed(target, key) {
  const property = Object.getOwnPropertyDescriptor(target, key);
  return property !== undefined && !property.configurable;
}

module.exports = { isWatchable, originalOf, watchData };
