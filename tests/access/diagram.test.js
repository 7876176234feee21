import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { readTemplate } from './template.js'

const REPOSITORY = join(import.meta.dirname, '../..')
const PARTS = ['access', 'network', 'instances', 'logging', 'trail', 'guard']

/** Resources that are part of another, and would only fill the picture. */
const LEFT_OUT = ['AWS::EC2::SubnetRouteTableAssociation', 'AWS::KMS::Alias', 'AWS::S3::BucketPolicy']

const templates = Object.fromEntries(
  PARTS.map((name) => [name, readTemplate(join(REPOSITORY, 'infra', `${name}.yaml`))]),
)
const environment = readTemplate(join(REPOSITORY, 'infra/environment.yaml'))
const { nodes, edges } = diagram(readFileSync(join(REPOSITORY, 'docs/environment.md'), 'utf8'))

test('every node of the diagram is a resource of the template that it stands in', () => {
  assert.ok(nodes.size > 30)
  for (const { part, id } of nodes.values()) {
    assert.ok(templates[part].Resources[id], `${part}.yaml has no resource ${id}`)
  }
})

test('every resource of the environment is a node of the diagram', () => {
  for (const part of PARTS.filter((name) => name !== 'guard')) {
    const expected = Object.entries(templates[part].Resources).filter(([, { Type }]) => !LEFT_OUT.includes(Type))
    const drawn = [...nodes.values()].filter((node) => node.part === part).map((node) => node.id)
    assert.deepEqual(drawn.toSorted(), expected.map(([id]) => id).toSorted(), part)
  }
})

test('every solid arrow of the diagram is a reference in the templates', () => {
  const solid = edges.filter((edge) => edge.isSolid)
  assert.ok(solid.length > 30)
  for (const { from, to } of solid) {
    assert.ok(nodes.has(from) && nodes.has(to), `${from} --> ${to}: both ends must be resources`)
    assert.ok(references(nodes.get(from)).has(to), `${from} --> ${to}: no such reference`)
  }
})

test('every dotted arrow of the diagram begins or ends outside of the templates', () => {
  const dotted = edges.filter((edge) => !edge.isSolid)
  assert.ok(dotted.length > 5)
  for (const { from, to } of dotted) {
    assert.ok(!nodes.has(from) || !nodes.has(to), `${from} -.-> ${to}: one end must not be a resource`)
  }
})

/** Nodes named `part_Resource`, and edges, of the diagram in a page. */
function diagram(page) {
  const [, text] = /<!-- diagram: begin -->\s+```mermaid\n([^]*?)```/.exec(page)
  const nodes = new Map()
  const edges = []
  for (const line of text.split('\n').map((each) => each.trim())) {
    const edge = /^(\w+) (-->|-\.->)(?:\|[^|]+\|)? (\w+)$/.exec(line)
    if (edge) edges.push({ from: edge[1], to: edge[3], isSolid: edge[2] === '-->' })
    const node = /^(([a-z]+)_(\w+))[[(]/.exec(line)
    if (node) nodes.set(node[1], { part: node[2], id: node[3] })
    const isKnown =
      edge ||
      node ||
      line === '' ||
      line === 'end' ||
      /^(flowchart|subgraph) /.test(line) ||
      /^\w+([[(]\[|\(\[|\{\{)/.test(line)
    assert.ok(isKnown, `line of the diagram: ${line}`)
  }
  return { nodes, edges }
}

/** What a resource refers to, as `part_Resource`: in its own template, or by a parameter that environment.yaml fills. */
function references({ part, id }) {
  const found = new Set()
  for (const name of namesIn(templates[part].Resources[id].Properties)) {
    if (templates[part].Resources[name]) found.add(`${part}_${name}`)
    if (!templates[part].Parameters[name]) continue
    for (const [other, output] of outputsFor(part, name)) {
      for (const target of namesIn(templates[other].Outputs[output].Value)) {
        if (templates[other].Resources[target]) found.add(`${other}_${target}`)
      }
    }
  }
  return found
}

/** The outputs of other parts that environment.yaml gives to a parameter. */
function outputsFor(part, parameter) {
  const stacks = Object.entries(environment.Resources)
  const of = (name) => environment.Resources[name].Properties.TemplateURL.replace('.yaml', '')
  const [, stack] = stacks.find(([name]) => of(name) === part)
  const value = stack.Properties.Parameters[parameter]
  const [name, , output] = String(value?.['Fn::GetAtt'] ?? '').split('.')
  return output ? [[of(name), output]] : []
}

/** Every name in a `Ref`, `Fn::GetAtt` or `Fn::Sub`. */
function namesIn(value) {
  if (Array.isArray(value)) return value.flatMap(namesIn)
  if (value === null || typeof value !== 'object') return []
  return Object.entries(value).flatMap(([key, each]) => {
    if (key === 'Ref') return [each]
    if (key === 'Fn::GetAtt') return [String(each).split('.')[0]]
    if (key === 'Fn::Sub' && typeof each === 'string')
      return [...each.matchAll(/\$\{([\w]+)/g)].map((found) => found[1])
    return namesIn(each)
  })
}
