#!/usr/bin/env node
/**
 * Who may do what: puts each question of a table to the policies, prints answer and reason, and compares the answer
 * with the expected.
 *
 *     node access.js                                       our table, our templates
 *     node access.js --user mine.json --user more.json     our questions about users, your policies
 *     node access.js --role mine.json                      our questions about federated users, your policies
 *     node access.js --table my-table.yaml                 your own questions
 *     node access.js --print access/UserSessions           the policies of that name, as they are evaluated
 *
 * Exit codes: 0 every answer is the expected one, 1 some are not, 2 the questions cannot be put.
 */

import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { evaluate, QuestionError } from './evaluate.js'
import { policiesNamed, readTable, TableError } from './table.js'
import { TemplateError } from './template.js'

const USAGE = `usage: node access.js [--table FILE] [--user POLICY.json]... [--role POLICY.json]... [--set NAME=VALUE]...
                      [--format text|json] [--failed] | --print NAME`

const OPTIONS = {
  table: { type: 'string', default: join(import.meta.dirname, 'table.yaml') },
  user: { type: 'string', multiple: true, default: [] },
  role: { type: 'string', multiple: true, default: [] },
  set: { type: 'string', multiple: true, default: [] },
  format: { type: 'string', default: 'text' },
  failed: { type: 'boolean', default: false },
  print: { type: 'string' },
}

/** The policies of users and of federated users in `table.yaml`, which --user and --role replace. */
const USERS = 'access/SessionUsers'
const ROLES = 'access/SessionRole'

process.exitCode = await main(process.argv.slice(2))

async function main(argumentsGiven) {
  let values
  try {
    ;({ values } = parseArgs({ args: argumentsGiven, options: OPTIONS }))
    if (!['text', 'json'].includes(values.format)) throw new Error(`no format \`${values.format}\``)
  } catch (error) {
    console.error(`access: ${error.message}\n${USAGE}`)
    return 2
  }
  try {
    const replacements = {
      ...(values.user.length > 0 && { [USERS]: values.user }),
      ...(values.role.length > 0 && { [ROLES]: values.role }),
    }
    if (values.print) {
      const { identity, resource } = policiesNamed(values.table, values.print, { variables: variables(values.set) })
      console.log(
        JSON.stringify(
          [...identity, resource].filter(Boolean).map(({ name, policy }) => ({ name, policy })),
          null,
          2,
        ),
      )
      return 0
    }
    const rows = readTable(values.table, { variables: variables(values.set), replacements })
    return await report(rows, values)
  } catch (error) {
    const isExpected =
      [QuestionError, TableError, TemplateError].some((kind) => error instanceof kind) || error.code === 'ENOENT'
    if (!isExpected) throw error
    console.error(`access: ${error.message}`)
    return 2
  }
}

function variables(settings) {
  return Object.fromEntries(
    settings.map((text) => {
      const [name, ...value] = text.split('=')
      if (value.length === 0) throw new TableError(`--set ${text}: must be NAME=VALUE`)
      return [name, value.join('=')]
    }),
  )
}

async function report(rows, { format, failed }) {
  const answers = []
  for (const row of rows) {
    const answer = await evaluate(row.question)
    const found = answer.allowed ? 'allowed' : 'denied'
    answers.push({ ...row, found, reason: reason(answer), isExpected: found === row.expected })
  }
  const wrong = answers.filter((each) => !each.isExpected)
  const shown = failed ? wrong : answers
  if (format === 'json') {
    console.log(
      JSON.stringify(
        shown.map(({ number, because, described, expected, found, reason }) => ({
          number,
          because,
          ...described,
          expected,
          found,
          reason,
        })),
        null,
        2,
      ),
    )
  } else {
    for (const each of shown) console.log(line(each))
    console.log(
      `${answers.length} questions, ${wrong.length === 0 ? 'every answer as expected' : `${wrong.length} answered otherwise than expected`}`,
    )
  }
  return wrong.length === 0 ? 0 : 1
}

function line({ number, described, expected, found, isExpected, because, reason }) {
  const mark = isExpected ? 'ok  ' : 'FAIL'
  const { tags, where, through } = described
  const question = `${described.who} (${described.with}) ${described.do} ${described.on}${pairs(' tagged ', tags)}`
  const rest = `${pairs(' where ', where)}${through ? ` through ${through}` : ''}`
  const answer = isExpected ? found : `${found}, expected ${expected}`
  return `${mark} ${String(number).padStart(3)}  ${question}${rest}\n          ${answer} by ${reason}\n          ${because}`
}

function reason({ allowed, explicit, by, nearly }) {
  if (allowed || explicit) return by.join(', ') || 'the policy of the thing'
  return nearly.length === 0 ? 'no statement about it' : `no statement: ${nearly.join('; ')}`
}

function pairs(word, values) {
  const text = Object.entries(values).map(([name, value]) => `${name}=${value}`)
  return text.length === 0 ? '' : word + text.join(', ')
}
