/**
 * Strongly connected components by Tarjan's algorithm, without recursion: a peer decides how deep the graph is.
 */

/** `edges[v]` are the successors of node v. Components come in reverse topological order, each with its nodes. */
export function stronglyConnected(edges: readonly (readonly number[])[]): number[][] {
  const components: number[][] = [];
  const index = new Int32Array(edges.length).fill(-1);
  const low = new Int32Array(edges.length);
  const onStack = new Uint8Array(edges.length);
  const next = new Int32Array(edges.length);
  const stack: number[] = [];
  const path: number[] = [];
  let counter = 0;

  const enter = (v: number): void => {
    index[v] = low[v] = counter++;
    onStack[v] = 1;
    stack.push(v);
    path.push(v);
  };
  const lower = (v: number, to: number): void => {
    if (to < (low[v] as number)) low[v] = to;
  };
  const leave = (v: number): void => {
    path.pop();
    const parent = path.at(-1);
    if (parent !== undefined) lower(parent, low[v] as number);
    if (low[v] !== index[v]) return;
    const component = stack.splice(stack.lastIndexOf(v));
    for (const w of component) onStack[w] = 0;
    components.push(component);
  };

  for (let root = 0; root < edges.length; root++) {
    if (index[root] !== -1) continue;
    enter(root);
    for (let v = path.at(-1); v !== undefined; v = path.at(-1)) {
      const w = edges[v]?.[next[v] as number];
      next[v] = (next[v] as number) + 1;
      if (w === undefined) leave(v);
      else if (index[w] === -1) enter(w);
      else if (onStack[w] === 1) lower(v, index[w] as number);
    }
  }
  return components;
}

/** Components in topological order; of those whose predecessors are all out, the least goes first. */
export function topological<C extends { readonly nodes: readonly number[] }>(
  edges: readonly (readonly number[])[],
  components: readonly C[],
  compare: (a: C, b: C) => number,
): C[] {
  const componentOf = new Map<number, C>();
  for (const component of components) for (const node of component.nodes) componentOf.set(node, component);
  const waits = new Map<C, number>();
  const forEachSuccessor = (component: C, visit: (successor: C) => void): void => {
    for (const node of component.nodes)
      for (const to of edges[node] ?? []) {
        const successor = componentOf.get(to);
        if (successor !== undefined && successor !== component) visit(successor);
      }
  };
  for (const component of components)
    forEachSuccessor(component, successor => waits.set(successor, (waits.get(successor) ?? 0) + 1));

  const ready: C[] = []; // greatest first
  const insert = (component: C): void => {
    let low = 0;
    let high = ready.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(ready[middle] as C, component) > 0) low = middle + 1;
      else high = middle;
    }
    ready.splice(low, 0, component);
  };
  for (const component of components) if (!waits.has(component)) insert(component);
  const inOrder: C[] = [];
  for (let component = ready.pop(); component !== undefined; component = ready.pop()) {
    inOrder.push(component);
    forEachSuccessor(component, successor => {
      const left = (waits.get(successor) ?? 0) - 1;
      waits.set(successor, left);
      if (left === 0) insert(successor);
    });
  }
  return inOrder;
}
