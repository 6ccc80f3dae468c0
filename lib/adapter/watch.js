"use strict";

/** Where a collection has its watcher. */
const kWatcher = Symbol("watcher");

const { add: addToSet, delete: deleteFromSet } = Set.prototype;
const { set: setInMap, delete: deleteFromMap } = Map.prototype;

/**
 * Has somebody told of every member that a Set, or key that a Map, gains or loses, whoever is the cause; not of `clear()`,
 * which shows in the size. The collection looks and behaves as before.
 *
 * @param {Set<any>|Map<any, any>} collection
 * @param {{added: (key: any) => void, removed: (key: any) => void}} watcher - told when it has happened
 * @returns {boolean} false if that is not possible, as it is frozen, or watched already
 */
function watch(collection, watcher) {
  if (!Object.isExtensible(collection) || collection[kWatcher] !== undefined) return false;
  if (collection instanceof Set) define(collection, SET_METHODS);
  else if (collection instanceof Map) define(collection, MAP_METHODS);
  else return false;
  Object.defineProperty(collection, kWatcher, { value: watcher, configurable: true });
  return true;
}

/**
 * Ends what `watch()` has begun.
 *
 * @param {Set<any>|Map<any, any>} collection
 */
function unwatch(collection) {
  delete collection[kWatcher];
  for (const name of Object.keys(collection instanceof Set ? SET_METHODS : MAP_METHODS))
    delete collection[name];
}

const SET_METHODS = { add: onAdd, delete: onDelete };
const MAP_METHODS = { set: onSet, delete: onDeleteKey };

module.exports = { watch, unwatch };

/** Gives a collection methods of its own; they are not enumerable, so that it still equals one with the same content. */
function define(collection, methods) {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(collection, name, { value, configurable: true, writable: true });
  }
}

function onAdd(value) {
  const { size } = this;
  addToSet.call(this, value);
  if (this.size !== size) this[kWatcher].added(value);
  return this;
}

function onDelete(value) {
  const isDeleted = deleteFromSet.call(this, value);
  if (isDeleted) this[kWatcher].removed(value);
  return isDeleted;
}

function onSet(key, value) {
  const { size } = this;
  setInMap.call(this, key, value);
  if (this.size !== size) this[kWatcher].added(key);
  return this;
}

function onDeleteKey(key) {
  const isDeleted = deleteFromMap.call(this, key);
  if (isDeleted) this[kWatcher].removed(key);
  return isDeleted;
}
