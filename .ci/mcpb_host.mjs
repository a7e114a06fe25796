// Writes a program that starts the unpacked bundle as a host would, with the code that the format's makers
// publish for hosts: mcpb_host.mjs PACKER BUNDLE PROGRAM FIELDS. FIELDS is what a person filled in, as JSON;
// `null` is a host that puts nothing in the place of fields.
import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";

const [packer, bundle, program, fields] = process.argv.slice(2);
const { getMcpConfigForManifest } = await import(pathToFileURL(resolve(packer, "dist/index.js")));
const manifest = JSON.parse(readFileSync(join(bundle, "manifest.json"), "utf8"));
const userConfig = JSON.parse(fields);
if (userConfig === null) delete manifest.user_config;
const config = await getMcpConfigForManifest({
  manifest,
  extensionPath: resolve(bundle),
  systemDirs: { HOME: homedir() },
  userConfig: userConfig ?? {},
  pathSeparator: sep,
});
if (!config) throw new Error("the manifest gives nothing to start");

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const lines = Object.entries(config.env).map(([name, value]) => `export ${name}=${quoted(value)}`);
const command = [config.command, ...config.args].map(quoted).join(" ");
writeFileSync(program, `#!/bin/sh\n${lines.join("\n")}\nexec ${command} "$@"\n`, { mode: 0o755 });
