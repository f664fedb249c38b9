/** Planted bugs of membership: rosters, root keys, and what a node keeps over a restart. */
import type { Canary } from './canaries.js';

const ROSTER_TESTS = ['test/unit/roster.test.ts'];
const SPREAD_TESTS = ['test/unit/roster-mesh.test.ts'];
const HOSTILE_TESTS = ['test/unit/roster-hostile.test.ts'];
const STORE_TESTS = ['test/unit/store.test.ts'];

export const ROSTER_CANARIES: Readonly<Record<string, Canary>> = {
  'rotation-unsigned': {
    bug: 'root keys are replaced by a rotation that nobody signed',
    file: 'lib/identity/root-keys.ts',
    search:
      "    requireSigned(crypto, present, { kind: 'root-rotation', networkId, version: fromVersion, body, signatures });\n",
    replace: '',
    scenario: 'mesh',
    tests: ROSTER_TESTS,
  },
  'old-root-keys-sign-on': {
    bug: 'root keys that were replaced still sign rosters',
    file: 'lib/identity/roster-membership.ts',
    search: '    this.#trust = { networkId: oldTrust.networkId, ...next.rootKeys };\n',
    replace: '',
    scenario: 'mesh',
    tests: ROSTER_TESTS,
  },
  'visitor-is-a-neighbour': {
    bug: 'whoever may bring a roster is let in as a neighbour',
    file: 'lib/mesh/neighbours.ts',
    search: 'if (isVisitor) this.#visits',
    replace: 'if (isVisitor && this.#closed) this.#visits',
    scenario: 'mesh',
    tests: SPREAD_TESTS,
  },
  'revoked-relay-two-hops-away': {
    bug: 'a source goes on over a relay that was revoked, until the relay before it hears of it',
    file: 'lib/mesh/path-switch.ts',
    search: "        if (end?.route.some(isGone) === true) end.abandon('next-hop-lost');\n",
    replace: '',
    scenario: 'mesh',
    tests: SPREAD_TESTS,
  },
  'new-member-unheard': {
    bug: 'what a node ignored of a new member, before it had the roster, is not told to it again',
    file: 'lib/mesh/roster-spread.ts',
    search: '        this.#host.caughtUp(from);\n',
    replace: '',
    scenario: 'mesh',
    tests: SPREAD_TESTS,
  },
  'roster-not-kept': {
    bug: 'a node that restarts goes by the roster of its configuration again',
    file: 'lib/mesh/roster-spread.ts',
    search: '    if (kept !== undefined) membership.restore(kept);',
    replace: '    if (kept === undefined) membership.onChange(() => undefined);',
    scenario: 'mesh',
    tests: SPREAD_TESTS,
  },
  'lie-about-versions': {
    bug: 'a neighbour that announces what it does not have is asked again and again',
    file: 'lib/mesh/roster-spread.ts',
    search: "      else this.#strike(pull, 'it delivered another version', STRIKES_OF_A_FORGERY);\n",
    replace: '',
    scenario: 'mesh',
    tests: HOSTILE_TESTS,
  },
  'pull-waits-for-ever': {
    bug: 'a neighbour that delivers nothing holds up the roster of all others',
    file: 'lib/mesh/roster-spread.ts',
    search: "() => this.#failPull('it did not deliver in time', 1)",
    replace: '() => undefined',
    scenario: 'mesh',
    tests: HOSTILE_TESTS,
  },
  'damaged-record-read': {
    bug: 'a damaged record of the store is taken as it is',
    file: 'lib/storage/file-store.ts',
    search: 'if (isSound && ',
    replace: 'if ((isSound || file.length > HEADER_BYTES) && ',
    scenario: 'mesh',
    tests: STORE_TESTS,
  },
};
