import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { readTemplate } from './template.js'

const INFRA = join(import.meta.dirname, '../../infra')
const environment = readTemplate(join(INFRA, 'environment.yaml'))
const parts = Object.entries(environment.Resources).map(([name, { Properties }]) => ({
  name,
  given: Properties.Parameters,
  template: readTemplate(join(INFRA, Properties.TemplateURL)),
}))

test('each part of the whole gets parameters that it has, and all that it needs', () => {
  for (const { name, given, template } of parts) {
    for (const parameter of Object.keys(given)) assert.ok(template.Parameters[parameter], `${name} has no ${parameter}`)
    for (const [parameter, { Default }] of Object.entries(template.Parameters)) {
      assert.ok(Default !== undefined || parameter in given, `${name} needs ${parameter}`)
    }
  }
})

test('each output that the whole refers to is an output of that part', () => {
  const references = [...JSON.stringify(environment).matchAll(/"Fn::GetAtt":"(\w+)\.Outputs\.(\w+)"/g)]
  assert.ok(references.length > 15)
  for (const [, name, output] of references) {
    assert.ok(parts.find((part) => part.name === name)?.template.Outputs[output], `${name} has no output ${output}`)
  }
})

test('a parameter of the whole has the default of the part that gets it', () => {
  let count = 0
  for (const { name, given, template } of parts) {
    for (const [parameter, value] of Object.entries(given)) {
      // What is computed, or has another name there, has a default of its own.
      if (value.Ref !== parameter) continue
      count += 1
      assert.equal(
        environment.Parameters[parameter].Default,
        template.Parameters[parameter].Default,
        `${name}: ${parameter}`,
      )
    }
  }
  assert.ok(count > 10)
})
