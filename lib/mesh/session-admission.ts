/** Asks whether the peer at the other end of a finished handshake gets a session. */
import type { HandshakeResult } from '../channel/types.js';
import type { Cancel } from '../env.js';
import { HopfairError } from '../errors.js';
import { LIMITS } from '../limits.js';
import type { MeshContext } from './context.js';
import type { PathEnd } from './path-end.js';

/**
 * Calls `onVerdict` once, at once or within `admitTimeoutMs`: with nothing when the peer is let in, else with the reason.
 * Not after the returned function was called.
 */
export function admitSession(
  { admission, env }: MeshContext,
  end: PathEnd,
  { peer, certificate, capabilities, attestation, handshakeHash }: HandshakeResult,
  onVerdict: (refusal: HopfairError | undefined) => void,
): Cancel {
  let isOpen = true;
  const settle = (refusal: HopfairError | undefined): void => {
    if (!isOpen) return;
    isOpen = false;
    stopTimer();
    onVerdict(refusal);
  };
  const stopTimer = env.clock.schedule(LIMITS.admitTimeoutMs, () => {
    settle(new HopfairError('ADMISSION_UNDECIDED', `no verdict about ${peer} in time`, { retryable: true }));
  });
  const refuse = (cause?: unknown): void =>
    settle(new HopfairError('NOT_ADMITTED', `${peer} got no session`, { cause }));
  const conclude = (isAdmitted: boolean): void => (isAdmitted ? settle(undefined) : refuse());
  const remoteAddress = `mesh:${end.route.join('>')}`;
  const evidence = {
    certificate,
    capabilities,
    attestation,
    handshakeHash,
    remoteAddress,
    context: 'session',
  } as const;
  try {
    const verdict = admission.decide(peer, evidence);
    if (typeof verdict === 'boolean') conclude(verdict);
    else verdict.then(conclude, refuse);
  } catch (cause) {
    refuse(cause);
  }
  return () => {
    isOpen = false;
    stopTimer();
  };
}
