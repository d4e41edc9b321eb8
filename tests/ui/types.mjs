// Writes ui-dist/types/api.d.ts from the API's own description. Run it when openapi.json changes; `--check` only compares.
import openapiTS, { astToString } from 'openapi-typescript';
import { readFile, writeFile } from 'node:fs/promises';

const out = new URL('../../ui-dist/types/api.d.ts', import.meta.url);
const made = `// Made from openapi.json by tests/ui/types.mjs. Do not edit.\n${astToString(await openapiTS(new URL('../../openapi.json', import.meta.url)))}`;
if (process.argv.includes('--check')) {
  if ((await readFile(out, 'utf8').catch(() => '')) !== made) { console.error('ui-dist/types/api.d.ts is not what openapi.json says: run `npm run types` in tests/ui'); process.exit(1); }
} else await writeFile(out, made);
