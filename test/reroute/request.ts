/** How the processes of a measurement are asked: a request, its answer, and events that nobody asked for. */

export interface Request {
  readonly id: number;
  readonly request: unknown;
}

export type Reply =
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly error: string }
  | { readonly event: unknown };

/** Answers every request of the parent process, and ends with it. */
export function answerRequests<R>(answer: (request: R) => unknown): void {
  const send = (reply: Reply): void => {
    process.send?.(reply);
  };
  process.on('message', message => {
    const { id, request } = message as Request;
    Promise.resolve()
      .then(() => answer(request as R))
      .then(result => send({ id, answer: result ?? null }))
      .catch((error: unknown) =>
        send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
      );
  });
  process.on('disconnect', () => process.exit(0));
}

export function tellParent(event: unknown): void {
  process.send?.({ event } satisfies Reply);
}
