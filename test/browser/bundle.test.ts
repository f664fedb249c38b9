import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createContext, runInContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import t from 'tap';
import { installPackage } from './package.js';

/** It builds the package first, which takes long where many things run. */
t.setTimeout(240_000);

const installed = installPackage();
t.teardown(() => installed.remove());

/** What a user's bundler makes of these lines, in an application that has hopfair installed. */
async function bundleOf(source: string, format: 'esm' | 'iife' = 'esm'): Promise<string> {
  const folder = join(installed.folder, 'source');
  mkdirSync(folder, { recursive: true });
  const entry = join(folder, 'application.js');
  writeFileSync(entry, source);
  const { outputFiles, warnings } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    platform: 'browser',
    format,
    write: false,
    logLevel: 'silent',
  });
  if (warnings.length > 0) throw new Error(warnings[0]?.text);
  return (outputFiles[0] as { readonly text: string }).text;
}

const NODE = `
import { AllowList, createIdentity, createNode } from 'hopfair';
import { webSocketTransport } from 'hopfair/transports/websocket';
Object.assign(globalThis, { AllowList, createIdentity, createNode, webSocketTransport });`;

const CHANNEL = `
import { createIdentity, defaultCrypto, systemEnv } from 'hopfair';
import { openChannel } from 'hopfair/channel';
import { webSocketTransport } from 'hopfair/transports/websocket';
Object.assign(globalThis, { createIdentity, defaultCrypto, openChannel, systemEnv, webSocketTransport });`;

const ENTRIES = ['.', './channel', './noise', './order', './sim', './storage', './transports/websocket'];
const EVERYTHING = ENTRIES.map((entry, index) => {
  const name = entry.replace(/^\./, 'hopfair');
  return `import * as entry${index} from '${name}'; globalThis.entry${index} = { ...entry${index} };`;
}).join('\n');

/** Each match with what stands around it. */
const placesOf = (pattern: RegExp, code: string): string[] =>
  [...code.matchAll(pattern)].map(({ index }) => code.slice(Math.max(index - 40, 0), index + 40));

const FORBIDDEN = {
  'a module of Node': /node:/g,
  'an import at run time': /\b(require|import)\(["'`]|Dynamic require of/g,
  eval: /\beval\(/g,
};

/** What it may weigh at most, compressed: a third above what it does, so that nothing large comes in unnoticed. */
const BUNDLES: readonly (readonly [string, string, number])[] = [
  ['a node', NODE, 155_000],
  ['a channel', CHANNEL, 70_000],
  ['every entry', EVERYTHING, 190_000],
];

for (const [what, source, maxBytes] of BUNDLES) {
  t.test(`${what} bundles for browsers without ${Object.keys(FORBIDDEN).join(', ')}`, async t => {
    const code = await bundleOf(source);
    for (const [name, pattern] of Object.entries(FORBIDDEN)) t.strictSame(placesOf(pattern, code), [], `no ${name}`);
    const bytes = gzipSync(code, { level: 9 }).length;
    t.comment(`${what}: ${(code.length / 1_000).toFixed(0)} KB minified, ${(bytes / 1_000).toFixed(0)} KB gzip`);
    t.ok(bytes <= maxBytes, `${bytes} bytes compressed, of ${maxBytes}`);
  });
}

t.test('the guard would notice what only Node has', async t => {
  await t.rejects(bundleOf(`import { tcpTransport } from 'hopfair/transports/tcp'; globalThis.x = tcpTransport;`));
});

/** Globals that every browser and worker has; `process`, `Buffer` and `setImmediate` are not among them. */
const BROWSER_GLOBALS = {
  crypto: globalThis.crypto,
  performance,
  queueMicrotask: (fn: () => void) => queueMicrotask(fn),
  setTimeout: (fn: () => void, delayMs: number) => Number(setTimeout(fn, delayMs)),
  clearTimeout: (timer: number) => clearTimeout(timer),
  TextEncoder,
  TextDecoder,
  URL,
};

t.test('the bundle runs where there is no process and no Buffer, on the backend of browsers', async t => {
  const context = createContext({ ...BROWSER_GLOBALS });
  runInContext(
    await bundleOf(NODE + CHANNEL.replaceAll('createIdentity, ', '').replace(/import \{ web.*\n/, ''), 'iife'),
    context,
  );
  const script = `
    const identity = createIdentity({ networkId: 'test' });
    const options = { identity, networkId: 'test', membership: new AllowList(), transports: [webSocketTransport()] };
    createNode(options).then(async node => {
      await node.close();
      return [defaultCrypto().name, node.peerId === identity.peer].join();
    })`;
  t.equal(await runInContext(script, context), 'noble,true');
});
