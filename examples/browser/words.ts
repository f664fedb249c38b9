/** What the page and its worker say to each other. */
export type Side = 'buy' | 'sell';

export type FromTrader =
  | { readonly kind: 'ready' }
  | { readonly kind: 'book'; readonly bid: number; readonly ask: number }
  | { readonly kind: 'accepted'; readonly order: number }
  | { readonly kind: 'log'; readonly line: string };
