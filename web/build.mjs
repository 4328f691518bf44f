// Makes the bundles that come with the package, and the licences of what is in them.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";

process.chdir(new URL(".", import.meta.url).pathname);
// another folder than the package's own is for who wants to compare
const ASSETS = pathToFileURL(`${resolve(process.argv[2] ?? "../src/neurotransfer/pages/assets")}/`);
// a test without Node tells by it whether the bundles are made from what lies here
const made = createHash("sha256");
for (const file of ["build.mjs", "package-lock.json", ...readdirSync("src").sort().map((name) => `src/${name}`)]) {
  made.update(`${file}\0`).update(readFileSync(file)).update("\0");
}
const shared = {
  banner: { js: `/* made by web/build.mjs; sources ${made.digest("hex")} */` },
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  legalComments: "none",
  write: false,
  metafile: true,
};

// namespaces of an empty module lack every name, which esbuild rightly warns of
const withoutZarr = { alias: { zarrita: "./src/no-zarr.js" }, logOverride: { "import-is-undefined": "silent" } };
// a package of npm that comes without the text of its licence: the text is kept here
const KEPT = { "@niivue/niivue": "licences/niivue.txt" };

async function bundle(entry, file, options = {}) {
  const { outputFiles, metafile } = await build({ ...shared, ...options, entryPoints: [entry] });
  writeFileSync(new URL(file, ASSETS), outputFiles[0].contents);
  return Object.keys(metafile.inputs);
}

function packageOf(input) {
  const parts = input.split("node_modules/").at(-1).split("/");
  return parts[0].startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
}

function licence(name) {
  const folder = `node_modules/${name}`;
  const { version, license } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  return `${name} ${version} (${license})\n\n${name in KEPT ? readFileSync(KEPT[name], "utf8").trim() : licenceText(folder)}`;
}

function licenceText(folder) {
  for (const file of ["LICENSE", "LICENSE.md", "LICENSE.txt", "license", "LICENCE"]) {
    try {
      return readFileSync(`${folder}/${file}`, "utf8").trim();
    } catch {
      // the next name
    }
  }
  throw new Error(`${folder} comes without the text of its licence`);
}

const inputs = [
  ...(await bundle("src/main.js", "page.js")),
  ...(await bundle("src/viewer.js", "niivue.js", { globalName: "niivue", ...withoutZarr })),
];
const packages = [...new Set(inputs.filter((input) => input.includes("node_modules/")).map(packageOf))].sort();
const rule = `\n\n${"-".repeat(80)}\n\n`;
writeFileSync(new URL("LICENCES.txt", ASSETS), packages.map(licence).join(rule) + "\n");
