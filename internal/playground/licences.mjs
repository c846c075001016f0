// Prints the licences of what the bundle of GraphiQL contains, as its source map lists
// it. Usage: node licences.mjs source-map node_modules
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const [, , map, modules] = process.argv;

const bundled = JSON.parse(readFileSync(map)).sources
  .map((source) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(source)?.[1])
  .filter((name) => name && !['react', 'react-dom'].includes(name)); // these are beside it, with theirs
const ownRepository = ['@graphiql/react', '@graphiql/toolkit', 'codemirror-graphql', 'graphql-language-service'];

/** Returns the package's folder: one that today's tree has no more has the licence of its scope's others. */
function folderOf(name) {
  const folder = join(modules, name);
  if (existsSync(folder)) return folder;
  const [scope] = name.split('/');
  return join(modules, scope, readdirSync(join(modules, scope))[0]);
}

/** Returns the package's licence, or what it says of it where it has none in a file. */
function licence(name) {
  const folder = folderOf(name);
  const { license, author } = JSON.parse(readFileSync(join(folder, 'package.json')));
  const files = readdirSync(folder).filter((entry) => /^(licen[cs]e|notice)/i.test(entry));
  if (files.length > 0) return files.map((file) => readFileSync(join(folder, file), 'utf8').replaceAll('\r', '').trim()).join('\n\n');
  return `${license} licence${author ? `, ${author.name ?? author}` : ''}. The package has no file with its text.`;
}

const byText = new Map();
for (const name of [...new Set([...bundled, ...ownRepository])].sort()) {
  const text = licence(name);
  byText.set(text, [...(byText.get(text) ?? []), name]);
}
console.log('What graphiql.min.js contains beside GraphiQL itself, and under which licences.');
for (const [text, names] of byText) console.log(`\n${'='.repeat(80)}\n${names.join('\n')}\n${'-'.repeat(80)}\n${text}`);
