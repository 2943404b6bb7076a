'use strict';

const { readFileSync } = require('node:fs');

const BUILD = 'npx captify-hub build';

/** The newest glibc that `path` asks for, `undefined` where it asks for none: the linker writes each version by name. */
function neededGlibc(path) {
  let minors;
  try {
    minors = [...readFileSync(path, 'latin1').matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
  } catch {
    return undefined;
  }
  return minors.length > 0 ? `2.${Math.max(...minors)}` : undefined;
}

/** This process's glibc, by what is written in the library that is mapped into it; a report of Node's would look up names. */
function presentGlibc() {
  try {
    const [library] = /\/\S*\/libc[.-]\S*$/m.exec(readFileSync('/proc/self/maps', 'latin1'));
    return /release version (2\.\d+)/.exec(readFileSync(library, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}

/** Why the system's loader refused a binary, by what it says, and what to do about it. The first that matches counts. */
const REASONS = [
  {
    // glibc's `version `GLIBC_2.34' not found`: the binary was linked on a newer system than this.
    pattern: /version [`'](GLIBC_[\d.]+)' not found/,
    explain([, version], path) {
      const needed = neededGlibc(path) ?? version.slice('GLIBC_'.length);
      const present = presentGlibc();
      const here = present ? `this system has ${present}` : "this system's is older";
      return `it needs glibc ${needed} or newer, and ${here}. Build it on this system with \`${BUILD}\``;
    },
  },
  {
    // musl's loader has no versions: what it lacks it names as symbols, and glibc's own as a library.
    pattern: /ld-linux[\w.-]*\.so|libc\.so\.6|Error relocating/,
    explain: ([what]) =>
      `it is for glibc, or for a newer C library than this system's (${what}). Build it on this system with \`${BUILD}\``,
  },
  {
    pattern: /(?:^|: |library )([\w.+-]+\.so[\w.]*)(?:: cannot open shared object file|: No such file)/,
    explain: ([, library]) => `the library ${library} is missing on this system. Install it`,
  },
  {
    pattern: /failed to map segment|Operation not permitted/,
    explain: () => 'nothing can be run from its directory, which may be mounted with noexec',
  },
  {
    pattern: /wrong ELF class|invalid ELF header|Exec format error|incompatible architecture|not a valid Win32/i,
    explain: () => `it is no binary for this platform. Build it anew with \`${BUILD}\``,
  },
];

/** One sentence on why `path` could not be loaded. */
function loadFailure(error, path) {
  const said = String(error.message);
  for (const { pattern, explain } of REASONS) {
    const match = pattern.exec(said);
    if (match) return `${explain(match, path)}. (${said})`;
  }
  return `${said}. Build it anew with \`${BUILD}\`.`;
}

module.exports = { loadFailure, neededGlibc, presentGlibc, BUILD };
