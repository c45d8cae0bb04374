import type { StackStatus } from './manage.ts';

/** What `stack status` prints for people. */
export function statusTable({ servers, nodes }: StackStatus): string {
  const serverRows = servers.map((server) => [
    server.name,
    server.provider,
    server.endpoint,
    server.version,
    server.pid === null
      ? server.provider === 'external' || server.provider === 'docker'
        ? '-'
        : 'dead'
      : String(server.pid),
  ]);
  const nodeRows = nodes.map((node) => [
    node.nodeId,
    node.services.join(','),
    node.httpPort === null ? '-' : String(node.httpPort),
    String(node.opsPort ?? '-'),
    String(node.pid ?? '-'),
  ]);
  const parts: string[] = [];
  if (serverRows.length > 0) parts.push(table(['server', 'from', 'endpoint', 'version', 'process'], serverRows));
  else parts.push('No stack runs.');
  if (nodeRows.length > 0) parts.push(table(['node', 'services', 'http', 'ops', 'process'], nodeRows));
  return parts.join('\n\n');
}

function table(head: string[], rows: string[][]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
