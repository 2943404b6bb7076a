// A real nginx with the shipped file, on ports of loopback and with a certificate made for the test.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureSystemPackages } from '../../scripts/system.mjs';
import { temporaryDirectory } from './fixture-apps.mjs';
import { freePorts } from './ports.mjs';
import { Service, childEnvironment, progress, run, until } from './processes.mjs';

const shipped = fileURLToPath(new URL('../../nginx/captify.conf', import.meta.url));

export const hostName = 'captify.test';

/** Replaces every `from` by `to`; where the file has no `from`, file and test have parted. */
function replaceAll(text, from, to) {
  if (!text.includes(from)) throw new Error(`nginx/captify.conf has no ${JSON.stringify(from)}`);
  return text.replaceAll(from, to);
}

/**
 * The shipped file with what its head tells an operator to change, and with free ports of loopback for 80 and 443.
 * Nothing else is touched.
 */
function configured({ appPorts: [appPort, ...furtherPorts], httpPort, httpsPort, certificate, key }) {
  let text = fs.readFileSync(shipped, 'utf8');
  text = replaceAll(text, 'captify.example.com', hostName);
  text = replaceAll(text, '/etc/nginx/tls/captify.crt', certificate);
  text = replaceAll(text, '/etc/nginx/tls/captify.key', key);
  const further = / *# (server 127\.0\.0\.1:)3001([^;]*;).*/g;
  if (text.match(further)?.length !== 2) throw new Error('nginx/captify.conf has no line for more in each group');
  text = text.replace(further, (_, before, after) => furtherPorts.map((port) => before + port + after).join('\n'));
  text = replaceAll(text, '127.0.0.1:3000', `127.0.0.1:${appPort}`);
  text = replaceAll(text, 'listen 80;', `listen 127.0.0.1:${httpPort};`);
  text = replaceAll(text, 'listen [::]:80;', '');
  text = replaceAll(text, 'listen 443 ssl http2;', `listen 127.0.0.1:${httpsPort} ssl http2;`);
  return replaceAll(text, 'listen [::]:443 ssl http2;', '');
}

/** A self-signed certificate for {@link hostName}, as `{ certificate, key }`, the paths of two PEM files. */
export async function makeCertificate(directory) {
  const { openssl } = await ensureSystemPackages(['openssl'], { log: progress });
  const certificate = path.join(directory, 'captify.crt');
  const key = path.join(directory, 'captify.key');
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  args.push('-subj', `/CN=${hostName}`, '-addext', `subjectAltName=DNS:${hostName}`);
  args.push('-keyout', key, '-out', certificate);
  await run('openssl req', openssl, args, { quiet: true });
  return { certificate, key };
}

/** What the file's comment says to change where something ends TLS before nginx. */
export const behindTls = (text) => replaceAll(text, '"http "  1;', '"http "  0;');

/**
 * Starts nginx in front of a port, or of each of several. End it by `stop()`, which is SIGTERM: its workers outlive a killed master.
 *
 * @param {(text: string) => string} [edit] what else an operator changes in the file
 */
export async function startNginx(appPorts, edit = (text) => text) {
  const { nginx } = await ensureSystemPackages(['nginx'], { log: progress });
  const directory = temporaryDirectory('nginx');
  const files = await makeCertificate(directory);
  const [httpPort, httpsPort] = await freePorts(2);
  const site = path.join(directory, 'captify.conf');
  fs.writeFileSync(site, edit(configured({ appPorts: [appPorts].flat(), httpPort, httpsPort, ...files })));

  // The part of a configuration that every machine has already, cut down to what one test needs.
  const main = path.join(directory, 'nginx.conf');
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const lines = [
    'daemon off;',
    'worker_processes 1;',
    `pid ${directory}/nginx.pid;`,
    'error_log stderr notice;',
    // Else the workers, which are not root, cannot read the certificate's directory.
    ...(process.getuid?.() === 0 ? ['user root;'] : []),
    'events { worker_connections 512; }',
    'http {',
    '  access_log off;',
    ...temporaryPaths.map((name) => `  ${name}_temp_path ${directory}/${name};`),
    `  include ${site};`,
    '}',
  ];
  fs.writeFileSync(main, lines.join('\n'));

  const args = ['-p', directory, '-e', 'stderr', '-c', main];
  const env = childEnvironment();
  const verdict = await run('nginx -t', nginx, ['-t', ...args], { env });
  const service = new Service('nginx', nginx, args, { cwd: directory, env, lastSignal: 'SIGTERM' });
  try {
    await until('nginx to listen', async () => {
      if (service.ended) throw new Error(`nginx ended: ${service.output}`);
      return fetch(`http://127.0.0.1:${httpPort}/`, { redirect: 'manual' }).then(
        () => true,
        () => false,
      );
    });
  } catch (error) {
    await service.stop();
    throw error;
  }
  return Object.assign(service, {
    verdict,
    httpPort,
    httpsPort,
    certificate: fs.readFileSync(files.certificate),
    site,
  });
}
