// Real Chromium for tests, as small and as quiet as it goes.
import fs from 'node:fs';
import { chromium } from 'playwright-core';

const PLACES = [
  process.env.CHROMIUM_PATH,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

const FLAGS = [
  '--no-sandbox', // CI runs as root, where Chromium starts no other way
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Starts the Chromium of this machine. The caller closes it. */
export async function launchChromium() {
  const executablePath = PLACES.find((place) => place && fs.existsSync(place));
  if (!executablePath) {
    throw new Error('No Chromium found. Install the package `chromium`, or set CHROMIUM_PATH to its executable.');
  }
  return chromium.launch({ executablePath, args: FLAGS });
}
