import { allowed } from './load.ts';
import { environmentName, type Variable, type VariableKey, variables } from './variables.ts';

/** `npm run config`: every variable, its default, what is allowed, what it means. */
for (const key of Object.keys(variables) as VariableKey[]) {
  const entry: Variable = variables[key];
  console.log(
    `${environmentName(key)}  (default: ${entry.default === undefined ? 'unset' : entry.default || 'empty'})`,
  );
  console.log(`    ${entry.description}`);
  console.log(`    allowed: ${allowed(entry.schema)}\n`);
}
