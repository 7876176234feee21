import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { readTemplate } from './template.js'

const REPOSITORY = join(import.meta.dirname, '../..')
const guard = readTemplate(join(REPOSITORY, 'infra/guard.yaml')).Resources
const member = readTemplate(join(REPOSITORY, 'infra/member.yaml')).Resources

test('a member forwards the events that the guard of an account takes', () => {
  const { EventPattern } = guard.SessionEventRule.Properties
  assert.deepEqual(member.SessionEventRule.Properties.EventPattern, EventPattern)
  assert.deepEqual(guard.MemberEventRule.Properties.EventPattern, EventPattern)
})

test('the role of a member has the name that the guard takes', () => {
  const source = readFileSync(join(REPOSITORY, 'shared/aws/src/accounts.rs'), 'utf8')
  const [, name] = /MEMBER_ROLE: &str = "([^"]+)"/.exec(source)
  assert.equal(member.GuardAccess.Properties.RoleName, name)
  const [take] = guard.MemberAccess.Properties.PolicyDocument.Statement
  assert.ok(JSON.stringify(take.Resource).includes(`:role/${name}`))
})

test('the guard may look up and end in a member what it may in its own account', () => {
  const actions = (statements, names) =>
    Object.fromEntries(statements.filter((each) => names.includes(each.Sid)).map((each) => [each.Sid, each.Action]))
  const names = ['DescribeTargetsAndSessions', 'DescribePrincipals', 'EndSessions']
  const own = guard.SessionEventRole.Properties.Policies[0].PolicyDocument.Statement
  const there = [
    ...member.GuardAccess.Properties.Policies[0].PolicyDocument.Statement,
    ...member.GuardEndsSessions.Properties.PolicyDocument.Statement,
  ]
  assert.deepEqual(actions(there, names), actions(own, names))
  assert.deepEqual(there.map((each) => each.Sid).toSorted(), names.toSorted())
})

test('the calculator of docs/scale.md prints what stands under it', () => {
  const page = readFileSync(join(REPOSITORY, 'docs/scale.md'), 'utf8')
  const [, calculator, printed] = /```sh\n(cost\(\)[^]*?)```\s+```\n([^]*?)```/.exec(page)
  const { stdout, stderr } = spawnSync('sh', ['-c', calculator], { encoding: 'utf8' })
  assert.equal(stdout, printed, stderr)
})
