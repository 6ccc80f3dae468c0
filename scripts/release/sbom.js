"use strict";

// What a release contains of others, as a CycloneDX document (ECMA-424), version 1.6. What npm installs beside it is not in
// it: that is for the document of whoever installs.

const { execFileSync } = require("node:child_process");
const { bundledPackages, cratesOf } = require("./components");

/**
 * @param {string} version - of the release
 * @returns {Promise<string>} JSON
 * @throws {Error} when it would not be valid
 */
async function makeSbom(version) {
  const { Enums, Models, Serialize, Spec, Validation } = require("@cyclonedx/cyclonedx-library");
  const spec = Spec.Spec1dot6;
  const bom = new Models.Bom();
  const product = toComponent({ ecosystem: "npm", name: "sockeye.io", version, license: "MIT" });
  product.type = Enums.ComponentType.Framework;
  bom.metadata.component = product;
  bom.metadata.timestamp = new Date();

  const components = new Map();
  const entries = [...cratesOf(), standardLibrary(), ...bundledPackages()];
  for (const entry of entries) components.set(`${entry.name}@${entry.version}`, toComponent(entry));
  for (const { name, version: own, dependencies = [] } of entries) {
    const component = components.get(`${name}@${own}`);
    for (const key of dependencies) component.dependencies.add(components.get(key).bomRef);
    product.dependencies.add(component.bomRef);
    bom.components.add(component);
  }
  const json = new Serialize.JsonSerializer(new Serialize.JSON.Normalize.Factory(spec)).serialize(bom, {
    sortLists: true,
    space: 2,
  });
  const error = await new Validation.JsonStrictValidator(spec.version).validate(json);
  if (error !== null) throw new Error(`the SBOM is not valid: ${JSON.stringify(error)}`);
  return json;
}

/** @param {import("./components").Component} entry */
function toComponent({ ecosystem, name, version, license, checksum }) {
  const { Enums, Models } = require("@cyclonedx/cyclonedx-library");
  // https://github.com/package-url/purl-spec: the @ of a scope is written as %40
  const purl = `pkg:${ecosystem}/${name.replace("@", "%40")}@${version}`;
  const component = new Models.Component(Enums.ComponentType.Library, name, { version, purl, bomRef: purl });
  component.licenses.add(new Models.LicenseExpression(license));
  if (checksum !== undefined) component.hashes.set(Enums.HashAlgorithm["SHA-256"], checksum);
  return component;
}

function standardLibrary() {
  const [, version] = /^rustc (\S+)/.exec(execFileSync("rustc", ["--version"], { encoding: "utf8" }));
  return { ecosystem: "generic", name: "rust-std", version, license: "MIT OR Apache-2.0" };
}

module.exports = { makeSbom };
