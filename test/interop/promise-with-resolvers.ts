/** libp2p uses `Promise.withResolvers`, which Node has from version 22. Import this before it. */
interface Resolvers<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T | PromiseLike<T>) => void;
  readonly reject: (reason: unknown) => void;
}

const promises: { withResolvers?: <T>() => Resolvers<T> } = Promise as object;
promises.withResolvers ??= <T>(): Resolvers<T> => {
  const parts: Partial<{ -readonly [K in keyof Resolvers<T>]: Resolvers<T>[K] }> = {};
  const promise = new Promise<T>((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return { ...parts, promise } as Resolvers<T>;
};
