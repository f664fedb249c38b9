/**
 * What favours the front-runner, as much as it can be favoured: a friend in the committee, and a victim far from everybody
 * else.
 *
 * The league: a committee member that is in with the front-runner. f = 1 of n = 4 members may be hostile, and
 * this one is: it hands what the victim submits to the front-runner at once, over the mesh itself, and only then, late, to
 * its own lane. It sees more than any relay on the way, which sees size, time and ends of frames that it cannot open.
 */
import type { Cancel, Env } from '../../lib/env.js';
import type { PeerId } from '../../lib/identity/index.js';
import type { Messaging } from '../../lib/mesh/messaging.js';

/** The service of the league: what the victim sent to the member, as the member received it. */
export const LEAGUE = 'league';

/** How long the hostile member sits on a victim's order after it has told the front-runner. */
const HEAD_START_MS = 25;

const passThrough = (inner: Messaging): Messaging => ({
  self: inner.self,
  send: (to, service, bytes, options) => inner.send(to, service, bytes, options),
  serve: (service, handler) => inner.serve(service, handler),
  onPeer: handler => inner.onPeer(handler),
  exportSecret: (peer, label, length) => inner.exportSecret(peer, label, length),
});

/** A messaging that does some things late. `leave` forgets what is still to be done: the node below may be closed then. */
export type LateMessaging = Messaging & { readonly leave: () => void };

class Later {
  readonly #env: Env;
  readonly #underWay = new Set<Cancel>();

  constructor(env: Env) {
    this.#env = env;
  }

  do(delayMs: number, fn: () => void): void {
    const cancel = this.#env.clock.schedule(delayMs, () => {
      this.#underWay.delete(cancel);
      fn();
    });
    this.#underWay.add(cancel);
  }

  readonly leave = (): void => {
    for (const cancel of this.#underWay) cancel();
    this.#underWay.clear();
  };
}

/** The messaging of the hostile member: the same, but for what it does with messages of the victim. */
export function treacherous(inner: Messaging, env: Env, victim: PeerId, friend: PeerId): LateMessaging {
  const later = new Later(env);
  return {
    ...passThrough(inner),
    serve: (service, handler) =>
      inner.serve(service, (from, bytes) => {
        if (from !== victim) {
          handler(from, bytes);
          return;
        }
        const copy = bytes.slice();
        inner.send(friend, LEAGUE, copy, { class: 'critical' });
        later.do(HEAD_START_MS, () => handler(from, copy));
      }),
    leave: later.leave,
  };
}

/** How much further the victim is from the honest members than from the hostile one. */
const DISTANCE_MS = 40;

/**
 * The messaging of the victim: the hostile member is next door, the honest ones are far away, and the front-runner has
 * the faster lines. Without this head start nobody gets ahead at all: lanes count who was seen first.
 */
export function farAway(inner: Messaging, env: Env, neighbour: PeerId): LateMessaging {
  const later = new Later(env);
  return {
    ...passThrough(inner),
    send: (to, service, bytes, options) => {
      if (to === neighbour) return inner.send(to, service, bytes, options);
      // A queue that is full by then loses the message; the client repeats what is not answered.
      later.do(DISTANCE_MS, () => void inner.send(to, service, bytes, options));
      return true;
    },
    leave: later.leave,
  };
}
