import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'

import { evaluate, speaksOf } from './evaluate.js'
import { mutations } from './mutations.js'
import { readTable } from './table.js'

/**
 * Changes that no answer shows, each with the reason. A change of this list that an answer does show fails too, so
 * that the list stays true.
 */
const DOCUMENT_CHECK = 'In every StartSession the check is either on or off, and it is on whenever a document is named.'
const AGE = 'The age of the second factor is asked for too, and nobody has an age without a second factor.'
const UNSEEN = {
  'access.yaml#RoleSessions StartOnOwnHosts: Bool ssm:SessionDocumentAccessCheck': DOCUMENT_CHECK,
  'access.yaml#RoleSessions StartOnOwnHosts: without StringLike aws:PrincipalTag/SessionOwner':
    'The simulator takes an empty tag for none; AWS does not say what it does.',
  'access.yaml#RoleSessions StartWithThePreferences: Bool ssm:SessionDocumentAccessCheck': DOCUMENT_CHECK,
  'access.yaml#RoleSessions StartWithThePreferences: without BoolIfExists ssm:SessionDocumentAccessCheck':
    DOCUMENT_CHECK,
  'access.yaml#UserSessions StartOnOwnHosts: Bool ssm:SessionDocumentAccessCheck': DOCUMENT_CHECK,
  'access.yaml#UserSessions StartOnOwnHosts: BoolIfExists aws:MultiFactorAuthPresent': AGE,
  'access.yaml#UserSessions StartOnOwnHosts: without Bool aws:MultiFactorAuthPresent': AGE,
  'access.yaml#UserSessions StartWithThePreferences: Bool ssm:SessionDocumentAccessCheck': DOCUMENT_CHECK,
  'access.yaml#UserSessions StartWithThePreferences: BoolIfExists aws:MultiFactorAuthPresent': AGE,
  'access.yaml#UserSessions StartWithThePreferences: without Bool aws:MultiFactorAuthPresent': AGE,
  'access.yaml#UserSessions StartWithThePreferences: without BoolIfExists ssm:SessionDocumentAccessCheck':
    DOCUMENT_CHECK,
  'logging.yaml#LogBucketPolicy OnlyOverTls: BoolIfExists aws:SecureTransport':
    'S3 always says whether a request came over TLS.',
}

test('every statement, action, resource and condition of the policies is held by a row', async () => {
  const rows = readTable(join(import.meta.dirname, 'table.yaml'))
  const unseen = []
  let count = 0
  for (const [origin, copies] of policies(rows)) {
    for (const { name, policy, statement } of mutations(copies[0].policy)) {
      count += 1
      const original = copies.map((each) => each.policy)
      // A copy with other parameters has other statements, so that the same change is looked for by its name.
      for (const each of copies)
        each.policy = mutations(each.policy).find((other) => other.name === name)?.policy ?? each.policy
      const isSeen = await changes(rows.filter((row) => concerns(row, copies, statement)))
      copies.forEach((each, index) => (each.policy = original[index]))
      if (!isSeen) unseen.push(`${origin.split('/').at(-1)} ${name}`)
    }
  }
  assert.ok(count > 100, `${count} changes`)
  assert.deepEqual(unseen.toSorted(), Object.keys(UNSEEN).toSorted())
})

/** Policies of templates in the rows, by origin; a policy that several principals have is there several times. */
function policies(rows) {
  const found = new Map()
  for (const { question } of rows) {
    const all = [...question.principal.identity, question.endpoint, ...question.things.map((thing) => thing.policy)]
    for (const each of all.filter((policy) => policy?.origin)) {
      const copies = found.get(each.origin) ?? new Set()
      found.set(each.origin, copies.add(each))
    }
  }
  return [...found].map(([origin, copies]) => [origin, [...copies]])
}

function concerns({ question }, copies, statement) {
  const all = [...question.principal.identity, question.endpoint, ...question.things.map((thing) => thing.policy)]
  // A statement about everything else comes to speak of what it left out.
  const mayConcern = statement.NotAction || speaksOf(statement, question.action)
  return mayConcern && all.some((each) => copies.includes(each))
}

async function changes(rows) {
  for (const row of rows) {
    const { allowed } = await evaluate(row.question)
    if ((allowed ? 'allowed' : 'denied') !== row.expected) return true
  }
  return false
}
