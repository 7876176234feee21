/**
 * A table of questions with the answers that are expected, and where the policies are that must give them.
 *
 * `table.yaml` is ours, and shows the form. Text in braces is a variable of the table. A policy is named
 * `template/Resource`, `aws/Name` (a policy that AWS writes, in `managed/`), or by the path of a JSON file: a policy
 * document, or what `aws iam get-policy-version`, `get-user-policy`, `get-group-policy` or `get-role-policy` prints.
 */

import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'yaml'

import { CREDENTIALS } from './evaluate.js'
import { Deployment, policiesOf, readTemplate } from './template.js'

/** Raised when a table cannot be read; its message says what is wrong with which entry. */
export class TableError extends Error {}

const ANSWERS = ['allowed', 'denied']
const FIELDS = ['who', 'with', 'do', 'on', 'where', 'through', 'expect', 'because']

/**
 * Reads a table.
 *
 * `variables` go before those of the file. `replacements` puts policies from files in the place of a policy that the
 * table names; then only rows about principals with such a policy are kept, because the others are questions about
 * policies that are not there.
 */
export function readTable(file, { variables = {}, replacements = {} } = {}) {
  const { table, sources } = opened(file, variables, replacements)
  const principals = Object.fromEntries(
    Object.entries(table.principals).map(([name, each]) => [name, sources.principal(name, each)]),
  )
  const things = Object.fromEntries(
    Object.entries(table.things).map(([name, each]) => [name, sources.thing(name, each)]),
  )
  const names = new Set()
  const rows = table.rows.flatMap((row, index) => {
    const where = `row ${index + 1}`
    for (const field of Object.keys(row)) if (!FIELDS.includes(field)) fail(`${where}: no field \`${field}\` in a row`)
    if (!row.because || names.has(row.because)) fail(`${where}: \`because\` must be there, and be its own`)
    names.add(row.because)
    if (!ANSWERS.includes(row.expect)) fail(`${where}: \`expect\` is ${ANSWERS.join(' or ')}`)
    if (!(row.with in CREDENTIALS)) fail(`${where}: \`with\` is one of ${Object.keys(CREDENTIALS).join(', ')}`)
    const found = (kind, all, name) => all[name] ?? fail(`${where}: no ${kind} \`${name}\` in the table`)
    return [row.do].flat().map((action) => ({
      because: row.because,
      expected: row.expect,
      described: {
        who: row.who,
        with: row.with,
        do: action,
        on: [row.on].flat().join(' + '),
        tags: Object.assign({}, ...[row.on].flat().map((name) => table.things[name]?.tags ?? {})),
        where: row.where ?? {},
        ...(row.through && { through: row.through }),
      },
      question: {
        principal: found('principal', principals, row.who),
        credentials: row.with,
        action,
        things: [row.on].flat().map((name) => found('thing', things, name)),
        context: row.where,
        endpoint: row.through && sources.policies(row.through).resource,
      },
    }))
  })
  rows.forEach((row, index) => (row.number = index + 1))
  const isReplacing = Object.keys(replacements).length > 0
  return isReplacing ? rows.filter((row) => row.question.principal.isReplaced) : rows
}

/** The policies that have a name in a table: `{ identity, resource }`. */
export function policiesNamed(file, name, { variables = {} } = {}) {
  return opened(file, variables, {}).sources.policies(name)
}

function opened(file, variables, replacements) {
  const text = readFileSync(file, 'utf8')
  const given = { ...read(file, text)?.variables, ...variables }
  const table = read(
    file,
    text.replace(/\{([a-z-]+)\}/g, (found, name) => given[name] ?? found),
  )
  for (const section of ['principals', 'things', 'rows']) {
    if (!table?.[section]) fail(`${file}: no \`${section}\` in it`)
  }
  return { table, sources: new Sources(table, { folder: dirname(file), given, replacements }) }
}

function read(file, text) {
  try {
    return parse(text)
  } catch (error) {
    throw new TableError(`${file}: ${error.message.split('\n')[0]}`)
  }
}

/** Finds policies by the names that a table uses. */
class Sources {
  constructor(table, { folder, given, replacements }) {
    this.folder = folder
    this.given = given
    this.replacements = replacements
    this.deployments = new Map()
    this.templates = table.templates ?? {}
  }

  principal(name, { arn, userid, tags = {}, policies = [] }) {
    const context = { ...contextOf(arn), ...(userid && { 'aws:userid': userid }) }
    for (const [key, value] of Object.entries(tags)) context[`aws:PrincipalTag/${key}`] = value
    const identity = policies.flatMap((each) => this.policies(each).identity)
    const isReplaced =
      policies.some((each) => each in this.replacements) &&
      policies.every((each) => each in this.replacements || each.startsWith('aws/'))
    return { name, arn, context, identity, isReplaced }
  }

  thing(name, { arn, account, tags = {}, context = {}, policy }) {
    const names = { ...context }
    for (const [key, value] of Object.entries(tags)) {
      names[`ssm:resourceTag/${key}`] = value
      if (!key.startsWith('aws:')) names[`aws:ResourceTag/${key}`] = value
    }
    const owner = account ?? (arn.split(':')[4] || this.given.account)
    return { name, arn, account: owner, context: names, policy: policy && this.policies(policy).resource }
  }

  /** `{ identity, resource }` of a name: policies with their name, and with their origin if they are of a template. */
  policies(name) {
    const files = this.replacements[name]
    if (files) return { identity: files.map((file) => ({ name: file, policy: documentOf(file) })) }
    const file = resolve(this.folder, name)
    if (name.endsWith('.json') && existsSync(file)) {
      const found = { name, policy: documentOf(file) }
      return { identity: [found], resource: found }
    }
    const [from, id] = name.split('/')
    if (from === 'aws')
      return { identity: [{ name, policy: documentOf(join(import.meta.dirname, 'managed', `${id}.json`)) }] }
    const { identity, managed, resource } = policiesOf(this.deployment(from, name), id)
    const ofAws = managed.flatMap((arn) => this.policies(`aws/${arn.split('/').at(-1)}`).identity)
    const origin = (each) => `${this.templates[from].file}#${each}`
    return {
      identity: [...identity.map((each) => ({ ...each, origin: origin(each.name) })), ...ofAws],
      resource: resource && { name: id, policy: resource, origin: origin(id) },
    }
  }

  deployment(from, name) {
    const source = this.templates[from] ?? fail(`policy \`${name}\`: no template \`${from}\` in the table`)
    if (!this.deployments.has(from)) {
      const template = readTemplate(resolve(this.folder, source.file))
      this.deployments.set(from, new Deployment(template, { ...this.given, parameters: source.parameters }))
    }
    return this.deployments.get(from)
  }
}

/** What AWS tells of a principal by itself. Identity providers and services are not principals of an account. */
function contextOf(arn) {
  const [, partition, , , account, path = ''] = arn.split(':')
  const [kind, name] = path.split('/')
  switch (kind) {
    case 'user':
      return {
        'aws:PrincipalAccount': account,
        'aws:PrincipalArn': arn,
        'aws:PrincipalType': 'User',
        'aws:username': path.split('/').at(-1),
      }
    case 'assumed-role': {
      const role = `arn:${partition}:iam::${account}:role/${name}`
      return { 'aws:PrincipalAccount': account, 'aws:PrincipalArn': role, 'aws:PrincipalType': 'AssumedRole' }
    }
    default:
      return {}
  }
}

/** The policy document in a JSON file. */
export function documentOf(file) {
  let content
  try {
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new TableError(`${file}: ${error.message}`)
  }
  const document = content.PolicyVersion?.Document ?? content.PolicyDocument ?? content.Document ?? content
  if (!document.Statement) throw new TableError(`${file}: no \`Statement\` in it, so it is no policy`)
  return document
}

function fail(message) {
  throw new TableError(message)
}
