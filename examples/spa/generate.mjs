// Writes src/gql: a typed document for each operation, and persisted-documents.json, the
// list of all that the app asks. It calls GraphQL Code Generator's client preset itself:
// the generator's command line would triple what is installed.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { addTypenameSelectionDocumentTransform, preset } from '@graphql-codegen/client-preset';
import { codegen } from '@graphql-codegen/core';
import { buildSchema, parse } from 'graphql';

process.chdir(import.meta.dirname);
const schema = await readFile('../../schema.graphqls', 'utf8');
const operations = await readFile('src/operations.graphql', 'utf8');

const files = await preset.buildGeneratesSection({
  baseOutputDir: 'src/gql/',
  schema: parse(schema),
  schemaAst: buildSchema(schema, { assumeValidSDL: true }), // Apollo Federation's directives are declared nowhere
  documents: [{ location: 'src/operations.graphql', document: parse(operations), rawSDL: operations }],
  // The client's cache adds __typename to what it sends, so the list must have it too.
  documentTransforms: [{ name: 'typename', transformObject: addTypenameSelectionDocumentTransform, config: {} }],
  config: { scalars: { DateTime: 'string', JSON: 'unknown', URL: 'string' }, strictScalars: true, useTypeImports: true },
  presetConfig: { fragmentMasking: false, persistedDocuments: true },
  plugins: [],
  pluginMap: {},
});

await mkdir('src/gql', { recursive: true });
await Promise.all(files.map(async (file) => writeFile(file.filename, await codegen(file))));
