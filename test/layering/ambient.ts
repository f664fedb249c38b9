/**
 * What a pure room may not touch: time, randomness, waiting, the process. Found in the syntax tree, not by text, so that a
 * comment about a timer is no timer.
 */
import ts from 'typescript';

const FORBIDDEN_GLOBALS = new Set([
  ...['Date', 'Promise', 'performance', 'process', 'console', 'crypto', 'fetch', 'globalThis', 'Buffer'],
  ...['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'requestAnimationFrame'],
]);

/** Lines `file:line what` for every ambient use in the source text. */
export function ambientUses(file: string, source: string): string[] {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.ES2023, true);
  const found: string[] = [];
  const report = (node: ts.Node, what: string) =>
    found.push(`${file}:${tree.getLineAndCharacterOfPosition(node.getStart()).line + 1} ${what}`);
  const visit = (node: ts.Node): void => {
    if (ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier)) report(node, 'await');
    if (ts.canHaveModifiers(node) && ts.getModifiers(node)?.some(m => m.kind === ts.SyntaxKind.AsyncKeyword))
      report(node, 'async');
    if (ts.isIdentifier(node) && FORBIDDEN_GLOBALS.has(node.text) && !isMemberName(node) && !isLocalName(node))
      report(node, node.text);
    if (ts.isPropertyAccessExpression(node) && node.getText() === 'Math.random') report(node, 'Math.random');
    ts.forEachChild(node, visit);
  };
  visit(tree);
  return found;
}

/** `x.process` and `{ process: 1 }` name a member of something else, not the global. */
function isMemberName(node: ts.Identifier): boolean {
  const parent = node.parent;
  return (
    (ts.isPropertyAccessExpression(parent) && parent.name === node) ||
    ((ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent) || ts.isPropertyDeclaration(parent)) &&
      parent.name === node) ||
    ((ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent)) && parent.name === node)
  );
}

/** A parameter or variable that has the name of a global, e.g. a `crypto` that was handed in, is not that global. */
function isLocalName(name: ts.Identifier): boolean {
  for (let scope: ts.Node = name; scope.parent !== undefined; scope = scope.parent) {
    const { parent } = scope;
    if (ts.isFunctionLike(parent) && parent.parameters.some(p => binds(p.name, name.text))) return true;
    if (ts.isBlock(parent) && declares(parent.statements, name.text)) return true;
  }
  return false;
}

function declares(statements: readonly ts.Statement[], text: string): boolean {
  return statements.some(
    statement =>
      ts.isVariableStatement(statement) && statement.declarationList.declarations.some(d => binds(d.name, text)),
  );
}

function binds(name: ts.BindingName, text: string): boolean {
  if (ts.isIdentifier(name)) return name.text === text;
  return name.elements.some(element => ts.isBindingElement(element) && binds(element.name, text));
}
