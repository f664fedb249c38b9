/** Runs a bench by name: `npm run bench -- browser|channel|handshake|mesh|path|pubsub|relay [options]`; `--help` after the name tells its options. */
import { build } from './install.mjs';

const BENCHES = {
  browser: '../test/bench/browser.ts',
  channel: '../test/bench/channel.ts',
  handshake: '../test/bench/handshake.ts',
  mesh: '../test/bench/mesh.ts',
  path: '../test/bench/path.ts',
  pubsub: '../test/bench/pubsub.ts',
  relay: '../test/bench/relay.ts',
};

const name = process.argv[2] ?? '';
const file = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
if (file === undefined) {
  console.error(`Usage: npm run bench -- NAME [options], NAME one of ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
build(); // adapters and separate processes run what is in dist/
process.argv.splice(2, 1);
await import(file);
