/**
 * Planted bugs: each a small edit of one file of the sources, as somebody tired could make it. The layers of tests must
 * kill every one; `npm run canaries` tells which layer did. A canary whose text is no longer found is itself a failure.
 */
import { ROSTER_CANARIES } from './roster-canaries.js';

export interface Canary {
  /** What is wrong with the sources when it is planted. */
  readonly bug: string;
  readonly file: string;
  /** Occurs exactly once in the file. */
  readonly search: string;
  readonly replace: string;
  /** Which simulation can see it. */
  readonly scenario: 'order' | 'mesh' | 'pubsub';
  /** Test files that can see it too. */
  readonly tests: readonly string[];
}

const LINEARIZER_TESTS = ['test/unit/order-linearizer.test.ts'];
const SIMPLEX_TESTS = ['test/unit/order-simplex.test.ts'];
const FLOOD_TESTS = ['test/unit/link-state-flood.test.ts'];
const MESH_TESTS = ['test/unit/mesh.test.ts'];
const PUBSUB_TESTS = ['test/unit/pubsub.test.ts', 'test/unit/pubsub-hostile.test.ts'];
const EGRESS_TESTS = ['test/unit/egress.test.ts'];
const SETUP_TESTS = ['test/unit/path-setup.test.ts', 'test/unit/hostile-relay.test.ts'];
const BOUNDS_TESTS = ['test/unit/relay-bounds.test.ts'];
const STREAM_TESTS = ['test/unit/session-streams.test.ts'];
const FLOW_TESTS = ['test/unit/flow-estimators.test.ts', 'test/transcripts/route.test.ts'];

export const CANARIES: Readonly<Record<string, Canary>> = {
  'pre-needs-fewer-lanes': {
    bug: 'an order no longer waits for one that f lanes, who may lie, saw after it',
    file: 'lib/order/pending-order.ts',
    search: 'lanesBefore(b, a) <= f;',
    replace: 'lanesBefore(b, a) < f;',
    scenario: 'order',
    tests: LINEARIZER_TESTS,
  },
  'ready-with-fewer-lanes': {
    bug: 'f+1 lanes make an order solid instead of n-f',
    file: 'lib/order/linearizer.ts',
    search: 'order.sortedTimes.length >= n - f && ',
    replace: 'order.sortedTimes.length >= f + 1 && ',
    scenario: 'order',
    tests: LINEARIZER_TESTS,
  },
  'edges-reversed': {
    bug: 'inside a batch the order that fewer lanes saw first goes first',
    file: 'lib/order/arrangement.ts',
    search: 'Math.sign(lanesBefore(a, b) - lanesBefore(b, a))',
    replace: 'Math.sign(lanesBefore(b, a) - lanesBefore(a, b))',
    scenario: 'order',
    tests: LINEARIZER_TESTS,
  },
  'finalize-after-nullify': {
    bug: 'a member finalizes a view that it nullified',
    file: 'lib/order/simplex.ts',
    search: 'certificates.notarize === undefined || cast.nullify || cast.finalize',
    replace: 'certificates.notarize === undefined || cast.finalize',
    scenario: 'order',
    tests: SIMPLEX_TESTS,
  },
  'notarized-is-final': {
    bug: 'a block counts as final when it is only notarized',
    file: 'lib/order/simplex.ts',
    search:
      'certificates.finalize !== undefined && view > (highest?.view ?? 0)) {\n        highest = certificates.finalize;',
    replace:
      '(certificates.finalize ?? certificates.notarize) !== undefined && view > (highest?.view ?? 0)) {\n' +
      '        highest = certificates.finalize ?? certificates.notarize;',
    scenario: 'order',
    tests: SIMPLEX_TESTS,
  },
  'quorum-off-by-one': {
    bug: 'two quorums need not share an honest member',
    file: 'lib/order/tolerance.ts',
    search: 'const q = Math.ceil((n + f + 1) / 2);',
    replace: 'const q = Math.max(1, Math.ceil((n + f + 1) / 2) - 1);',
    scenario: 'order',
    tests: SIMPLEX_TESTS,
  },
  'votes-forgotten': {
    bug: 'a member that restarts does not know what it voted for',
    file: 'lib/order/simplex.ts',
    search: 'round.cast[kind] = true;\n    if (vote !== undefined)',
    replace: 'if (vote !== undefined)',
    scenario: 'order',
    tests: SIMPLEX_TESTS,
  },
  'sent-before-durable': {
    bug: 'messages leave before what they promise is on disk',
    file: 'lib/broadcast/effect-queue.ts',
    search: "{ kind: 'barrier', durable: false }",
    replace: "{ kind: 'barrier', durable: true }",
    scenario: 'order',
    tests: ['test/unit/broadcast-log.test.ts'],
  },
  'repetitions-delivered': {
    bug: 'a message that arrives over two paths is delivered twice',
    file: 'lib/mesh/inbox.ts',
    search: "if (sequence < stream.next) return 'seen';\n    if (sequence > stream.next)",
    replace: 'if (sequence < stream.next) this.#deliver(stream, bytes);\n    if (sequence > stream.next)',
    scenario: 'mesh',
    tests: MESH_TESTS,
  },
  'early-messages-delivered': {
    bug: 'a message is delivered though one before it is missing',
    file: 'lib/mesh/inbox.ts',
    search: 'if (sequence > stream.next) return this.#addPiece(',
    replace: 'if (sequence > stream.next + 1) return this.#addPiece(',
    scenario: 'mesh',
    tests: MESH_TESTS,
  },
  'unordered-delivered-twice': {
    bug: 'a message without order is delivered again when it comes again',
    file: 'lib/mesh/inbox.ts',
    search: "if (seen.has(sequence)) return 'seen';\n    if (seen.isAhead(sequence) || !this.#deliver",
    replace: 'if (seen.isAhead(sequence) || !this.#deliver',
    scenario: 'mesh',
    tests: STREAM_TESTS,
  },
  'credit-not-waited-for': {
    bug: 'a sender does not wait for the reader of its messages',
    file: 'lib/mesh/outbox.ts',
    search: 'if (message.end > message.stream.limit)',
    replace: 'if (message.end > 2 * message.stream.limit)',
    scenario: 'mesh',
    tests: STREAM_TESTS,
  },
  'credit-never-told': {
    bug: 'a sender never hears that its messages were read',
    file: 'lib/mesh/credit.ts',
    search: 'this.#taken += cost;',
    replace: 'this.#taken += cost - cost;',
    scenario: 'mesh',
    tests: STREAM_TESTS,
  },
  'no-bound-per-peer': {
    bug: 'one peer may fill the memory that is meant for all',
    file: 'lib/mesh/holdings.ts',
    search: 'held + bytes <= peerLimit && held',
    replace: 'held + bytes <= 64 * peerLimit && held',
    scenario: 'mesh',
    tests: STREAM_TESTS,
  },
  'receipts-not-checked': {
    bug: 'a receipt for one packet settles all of them',
    file: 'lib/route/flow-receipts.ts',
    search: 'if (!inRanges(ranges, copy.packet)) continue;',
    replace: 'if (!inRanges(ranges, copy.packet) && ranges.length === 0) continue;',
    scenario: 'mesh',
    tests: MESH_TESTS,
  },
  'late-never-sent-again': {
    bug: 'what was lost on every path is not sent again',
    file: 'lib/route/flow-misses.ts',
    search: 'if (until >= at) this.#sending.retransmit(item);',
    replace: 'if (until >= at) late.delete(item);',
    scenario: 'mesh',
    tests: MESH_TESTS,
  },
  'sources-not-charged': {
    bug: 'many frames of one source behind an ingress are one turn',
    file: 'lib/mesh/fair-queue.ts',
    search: '    source.deficit -= frame.bytes;\n',
    replace: '',
    scenario: 'mesh',
    tests: EGRESS_TESTS,
  },
  'ingresses-not-charged': {
    bug: 'many sources behind one ingress crowd out another ingress',
    file: 'lib/mesh/fair-queue.ts',
    search: '    ingress.deficit -= frame.bytes;\n',
    replace: '',
    scenario: 'mesh',
    tests: EGRESS_TESTS,
  },
  'one-drop-per-arrival': {
    bug: 'a full queue makes room for one frame, however large the new one is',
    file: 'lib/mesh/egress.ts',
    search: 'while (this.heldBytes > LIMITS.maxEgressQueueBytes && !this.#data.isEmpty) this.dropOne();',
    replace: 'if (this.heldBytes > LIMITS.maxEgressQueueBytes && !this.#data.isEmpty) this.dropOne();',
    scenario: 'mesh',
    tests: EGRESS_TESTS,
  },
  'control-unbudgeted': {
    bug: 'control passes waiting data without end',
    file: 'lib/mesh/egress.ts',
    search: '        if (!this.#data.isEmpty) this.#allowance -= control.bytes;\n',
    replace: '',
    scenario: 'mesh',
    tests: EGRESS_TESTS,
  },
  'dwell-not-counted': {
    bug: 'the time in a queue does not count against the ttl',
    file: 'lib/mesh/egress.ts',
    search: 'const left = ttlMs - Math.ceil(this.#clock.now() - since);',
    replace: 'const left = ttlMs - Math.min(0, Math.ceil(this.#clock.now() - since));',
    scenario: 'mesh',
    tests: EGRESS_TESTS,
  },
  'any-previous-hop': {
    bug: 'a set-up is taken from a neighbour that is not on its route',
    file: 'lib/mesh/path-setup.ts',
    search: "    if (hops[here - 1] !== from) return refuse('previous hop is another peer');\n",
    replace: '',
    scenario: 'mesh',
    tests: SETUP_TESTS,
  },
  'set-up-counts-twice': {
    bug: 'a set-up that was taken is taken again',
    file: 'lib/mesh/path-setup.ts',
    search: "    if (this.#nonces.has(source, setup.nonce)) return refuse('replayed');\n",
    replace: '',
    scenario: 'mesh',
    tests: SETUP_TESTS,
  },
  'message-not-bound': {
    bug: 'a set-up may carry another message than the signed one',
    file: 'lib/mesh/path-setup.ts',
    search:
      "    if (!equalBytes(crypto.hash('SHA256').digest(frame.message), setup.messageHash)) return refuse('another message');\n",
    replace: '',
    scenario: 'mesh',
    tests: SETUP_TESTS,
  },
  'full-ingress-stays-full': {
    bug: 'sources that fill the labels of an ingress keep others out',
    file: 'lib/mesh/labels.ts',
    search: '    evict(victim);\n    return undefined;',
    replace: "    return { reason: 'too many labels of the ingress', value, limit: LIMITS.maxLabelsPerIngress };",
    scenario: 'mesh',
    tests: BOUNDS_TESTS,
  },
  'set-ups-first-come': {
    bug: 'a source that asks for ever more set-ups leaves none to others',
    file: 'lib/mesh/setup-rate.ts',
    search: 'if (this.#tokens - 1 < KEPT_FOR_OTHERS && use > 0 && use >= this.#total / this.#use.size) return false;',
    replace: '',
    scenario: 'mesh',
    tests: BOUNDS_TESTS,
  },
  'queue-keeps-what-left': {
    bug: 'a queue keeps what left it alive, many times what is counted',
    file: 'lib/mesh/fifo.ts',
    search: '    this.#items[this.#head] = undefined;\n',
    replace: '',
    scenario: 'mesh',
    tests: EGRESS_TESTS,
  },
  'forgers-are-heard-on': {
    bug: 'a neighbour that passed on a forged list may pass on the next one',
    file: 'lib/mesh/link-state-flood.ts',
    search: "this.#ban(from, 'link-state-forged');",
    replace: '',
    scenario: 'mesh',
    tests: FLOOD_TESTS,
  },
  'unasked-lists-are-checked': {
    bug: 'a list that nobody asked for is checked and stored',
    file: 'lib/mesh/link-state-flood.ts',
    search: 'if (!this.#pulls.onAnswer(from, origin)) return;',
    replace: 'this.#pulls.onAnswer(from, origin);',
    scenario: 'mesh',
    tests: FLOOD_TESTS,
  },
  'bogus-versions-block': {
    bug: 'while a version is asked for that does not exist, no other one of that origin is',
    file: 'lib/mesh/link-state-pulls.ts',
    search: 'asked !== undefined && !isNewer(asked, name) && !isNewer(name, asked);',
    replace: 'asked !== undefined;',
    scenario: 'mesh',
    tests: FLOOD_TESTS,
  },
  'one-claim-is-an-edge': {
    bug: 'an edge that only one end lists exists',
    file: 'lib/route/link-state.ts',
    search: 'return back === undefined ? undefined : Math.max(',
    replace: 'return back === undefined ? there : Math.max(',
    scenario: 'mesh',
    tests: ['test/unit/route.test.ts', 'test/unit/candidates.test.ts'],
  },
  'suspects-are-not-last': {
    bug: 'routes over suspected relays are taken before others are looked at',
    file: 'lib/route/candidates.ts',
    search: 'for (const last of [false, true])',
    replace: 'for (const last of [true, false])',
    scenario: 'mesh',
    tests: ['test/unit/candidates.test.ts'],
  },
  'plans-outlive-changes': {
    bug: 'candidate paths are kept though a relay of theirs lost its channel',
    file: 'lib/route/planner.ts',
    search: 'if (graph.changedSince(plan.version, peer)) return false;',
    replace: '',
    scenario: 'mesh',
    tests: ['test/unit/candidates.test.ts'],
  },
  'losses-never-add-up': {
    bug: 'a relay that drops some of the packets is never found',
    file: 'lib/route/loss-test.ts',
    search: 'this.#score = Math.min(MAX_SCORE, this.#score + LOST_SCORE);',
    replace: 'this.#score = Math.min(MAX_SCORE, LOST_SCORE);',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'gaps-not-counted': {
    bug: 'receipts that a relay drops are made good by later ones, and nobody notices',
    file: 'lib/route/return-loss.ts',
    search: 'this.test.lost(since, 0);',
    replace: 'this.test.lost(since, since);',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'urgent-lane-not-sampled': {
    bug: 'a relay that delays urgent frames only hides behind the others',
    file: 'lib/route/flow-receipts.ts',
    search: 'if (urgent !== undefined) this',
    replace: 'if (urgent?.packet === last && normal !== undefined) this',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'stall-blames-the-network': {
    bug: 'after a stall copies are judged before the sockets were read',
    file: 'lib/route/own-health.ts',
    search: 'return late ? polledSince : now;',
    replace: 'return late ? now : now;',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'one-destination-convicts': {
    bug: 'a destination that denies receipts on one path makes its relay avoided everywhere',
    file: 'lib/route/suspicion.ts',
    search: 'if (records.length < 2) continue;',
    replace: 'if (records.length < 1) continue;',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'operators-not-independent': {
    bug: 'copies for k-path mode go over several relays of one operator',
    file: 'lib/route/disjoint.ts',
    search: ' && !a.operators.some(operator => b.operators.includes(operator))',
    replace: '',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'explored-path-never-taken': {
    bug: 'a third path that is better is measured and never taken',
    file: 'lib/route/flow-judge.ts',
    search: 'this.#considerVoluntary(other.path, other.lane);',
    replace: 'if (other.path === this.#core.paths.standby) this.#considerVoluntary(other.path, other.lane);',
    scenario: 'mesh',
    tests: FLOW_TESTS,
  },
  'removed-keep-the-key': {
    bug: 'a topic goes on under the key that a removed subscriber has',
    file: 'lib/mesh/topic-keys.ts',
    search: "if (this.#stale !== 'removed') this.#stale = cause;",
    replace: "if (cause === 'left') this.#stale = cause;",
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  'forwarders-are-believed': {
    bug: 'a subscriber believes flushes of others without looking at the signature',
    file: 'lib/mesh/subscription.ts',
    search: '(!isFirstHand || this.#children.length > 0) && !this.#host.verify(flush)',
    replace: 'isFirstHand && this.#children.length > 0 && !this.#host.verify(flush)',
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  'droppers-are-kept': {
    bug: 'whoever complains about its forwarder stays below it',
    file: 'lib/mesh/fan-out.ts',
    search: 'else this.#move(place, now);',
    replace: '',
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  'lower-runs-unheard': {
    bug: 'a publisher whose clock went back is not heard',
    file: 'lib/mesh/subscription.ts',
    search: 'else if (this.#position.epoch !== epoch) this.#beginRun',
    replace: 'else if (this.#position.epoch < epoch) this.#beginRun',
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  'late-announcements-ignored': {
    bug: 'what was announced and did not come is not asked for',
    file: 'lib/mesh/subscription.ts',
    search: 'this.#miss(this.#announcedNext - 1, true, now);',
    replace: '',
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  'topics-made-by-subscribers': {
    bug: 'whoever subscribes to a name makes a topic of it',
    file: 'lib/mesh/publisher.ts',
    search: 'const topic = this.#topics.get(name);\n    if (topic === undefined) {',
    replace: 'const topic = this.#topics.get(name) ?? this.openTopic(name);\n    if (topic === undefined) {',
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  'lost-though-others-hold-it': {
    bug: 'what the publisher forgot counts as lost before others were asked',
    file: 'lib/mesh/gap-fill.ts',
    search: 'else if (this.#silence(source) < SILENT_AFTER) return undefined;',
    replace: '',
    scenario: 'pubsub',
    tests: PUBSUB_TESTS,
  },
  ...ROSTER_CANARIES,
};
