/**
 * One question, answered by the policies: may this principal, with these credentials, do this, there?
 *
 * A question names a principal, an action and one thing or several. AWS authorises StartSession once for the node and
 * once for the document, and both must be allowed; so does this. The policies are evaluated by
 * @cloud-copilot/iam-simulate.
 *
 * What AWS sets by itself in a request is set here:
 * - `aws:MultiFactorAuthPresent` is absent for a long-term key, and `false` for a session without a second factor;
 * - `ssm:SessionDocumentAccessCheck` is `true` when a document is named, and `false` when none is: then Systems
 *   Manager takes the preferences and asks nobody whether the caller may;
 * - a session carries the tag `aws:ssmmessages:session-id`, the user id of who opened it.
 *
 * It cannot: know service control policies, permission boundaries and session policies unless the table names them.
 * What it answers is the simulator's and our reading of AWS's documentation; only AWS is AWS.
 */

import { runSimulation } from '@cloud-copilot/iam-simulate'

/** Raised when a question cannot be put. */
export class QuestionError extends Error {}

/** What a principal's credentials prove: the context keys that AWS adds. */
export const CREDENTIALS = {
  mfa: { 'aws:MultiFactorAuthPresent': 'true', 'aws:MultiFactorAuthAge': '600' },
  'old mfa': { 'aws:MultiFactorAuthPresent': 'true', 'aws:MultiFactorAuthAge': '46800' },
  // A console session, or GetSessionToken, without a second factor.
  'no mfa': { 'aws:MultiFactorAuthPresent': 'false' },
  // No such attribute at all.
  key: {},
  // Temporary credentials of a role say "false" even where the identity provider asked for a second factor.
  role: { 'aws:MultiFactorAuthPresent': 'false' },
  // An identity provider, or a service of AWS.
  none: {},
}

/**
 * Evaluates a question.
 *
 * `{ principal, credentials, action, things, context, endpoint }` -> `{ allowed, explicit, by, nearly }`: whether it
 * is allowed; whether a statement denies it; the statements that decided; and, when none decided, what kept the
 * nearest one from allowing.
 */
export async function evaluate(question) {
  const parts = []
  for (const thing of question.things) {
    parts.push(await authorise(question, thing))
  }
  const denied = parts.find((part) => part.explicit) ?? parts.find((part) => !part.allowed)
  return denied ?? { allowed: true, explicit: false, by: parts.flatMap((part) => part.by), nearly: [] }
}

const CONTEXT_OF_KMS = 'aws:PrincipalTag/kms:EncryptionContext:'

async function authorise({ principal, credentials, action, things, context = {}, endpoint }, thing) {
  const ofAction =
    action.toLowerCase() === 'ssm:startsession'
      ? { 'ssm:SessionDocumentAccessCheck': String(things.some((each) => each.arn.includes(':document/'))) }
      : {}
  const names = {
    ...principal.context,
    ...CREDENTIALS[credentials],
    'aws:SecureTransport': 'true',
    ...ofAction,
    ...thing.context,
    ...context,
  }
  const { asked, translated } = translation(action)
  const simulation = {
    request: {
      principal: principal.arn,
      action: asked,
      resource: { resource: translatedArn(thing.arn), accountId: thing.account },
      contextVariables: translatedKeys(names),
    },
    identityPolicies: principal.identity.map(({ name, policy }) => ({ name, policy: translated(policy) })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    ...(thing.policy && { resourcePolicy: translated(thing.policy.policy) }),
    ...(endpoint && { vpcEndpointPolicies: [{ name: endpoint.name, policy: translated(endpoint.policy) }] }),
  }
  const answer = await runSimulation(simulation, {})
  if (answer.resultType === 'error') {
    throw new QuestionError(`${action} on ${thing.name}: ${explained(answer.errors)}`)
  }
  const results = answer.resultType === 'single' ? [answer.result] : answer.results
  for (const { ignoredContextKeys: ignored = [] } of results) {
    // Of a tag's two names most requests know one, and calls that are not about nodes may know none.
    const lost = ignored.filter((key) => key in context || (key in thing.context && !key.includes('esourceTag/')))
    if (lost.length > 0)
      throw new QuestionError(`${action} on ${thing.name}: AWS has no ${lost.join(', ')} in such a request`)
  }
  return verdict(answer.overallResult, results)
}

/**
 * The simulator refuses three questions that AWS answers, so they are put in other words, in the request and in every
 * policy alike.
 *
 * A document or parameter of AWS has no account in its ARN; here it has one that nobody can have.
 * `ssmmessages:OpenDataChannel` has no resource in AWS's list of actions, while AWS's sample policies scope it to
 * sessions: it is asked as ResumeSession, which has that resource. And `kms:EncryptionContext:...` is a family of
 * keys that the simulator does not know: here it is one of principal tags.
 */
function translation(action) {
  const asked = action === 'ssmmessages:OpenDataChannel' ? 'ssm:ResumeSession' : action
  const translated = (policy) => ({
    ...policy,
    Statement: [policy.Statement].flat().flatMap((statement) => {
      if (asked !== action && !speaksOf(statement, action)) return []
      const { Action, NotAction, ...rest } = statement
      const actions = asked !== action ? { Action: asked } : NotAction ? { NotAction } : { Action }
      for (const key of ['Resource', 'NotResource']) {
        if (rest[key]) rest[key] = [rest[key]].flat().map(translatedArn)
      }
      if (rest.Condition) {
        rest.Condition = Object.fromEntries(
          Object.entries(rest.Condition).map(([operator, each]) => [operator, translatedKeys(each)]),
        )
      }
      return [{ ...rest, ...actions }]
    }),
  })
  return { asked, translated }
}

function translatedKeys(values) {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key.replace(/^kms:EncryptionContext:/i, CONTEXT_OF_KMS), value]),
  )
}

function translatedArn(arn) {
  return arn.replace(/^(arn:[^:]*:ssm:[^:]*):(:(?:document|parameter)\/)/, '$1:000000000000$2')
}

/** Whether a statement is about an action. */
export function speaksOf({ Action, NotAction }, action) {
  const matches = (pattern) => {
    const text = pattern
      .replace(/[.+^$()|[\]\\{}]/g, '\\$&')
      .replaceAll('*', '.*')
      .replaceAll('?', '.')
    return new RegExp(`^${text}$`, 'i').test(action)
  }
  return NotAction ? ![NotAction].flat().some(matches) : [Action].flat().some(matches)
}

function verdict(overall, results) {
  const analyses = results.map((each) => each.analysis)
  const parts = analyses.flatMap((each) =>
    [each.identityAnalysis, each.resourceAnalysis, each.endpointAnalysis].filter(Boolean),
  )
  const statements = (kind) => [...new Set(parts.flatMap((part) => part[kind] ?? []).map(nameOf))]
  if (overall === 'Allowed') {
    return { allowed: true, explicit: false, by: statements('allowStatements'), nearly: [] }
  }
  const denies = statements('denyStatements')
  if (denies.length > 0) return { allowed: false, explicit: true, by: denies, nearly: [] }
  return { allowed: false, explicit: false, by: [], nearly: nearlyAllowed(parts, analyses) }
}

function nameOf(each) {
  return each.statement.sid() ?? `statement ${each.statement.index()}`
}

/** Statements about this action that do not apply, and why not. */
function nearlyAllowed(parts, analyses) {
  const reasons = []
  for (const part of parts) {
    for (const each of part.unmatchedStatements ?? []) {
      const { effect, actionMatch, resourceMatch, conditions } = each.explain
      if (effect !== 'Allow' || !actionMatch) continue
      const name = nameOf(each)
      if (!resourceMatch) reasons.push(`${name} is for other resources`)
      else
        for (const condition of (conditions ?? []).filter((item) => !item.matches)) {
          reasons.push(
            `${name} wants another ${condition.conditionKeyValue.replace(CONTEXT_OF_KMS, 'kms:EncryptionContext:')}`,
          )
        }
    }
  }
  if (reasons.length === 0 && analyses.some((each) => each.endpointAnalysis?.result === 'ImplicitlyDenied')) {
    reasons.push('the endpoint lets it through for nobody')
  }
  return [...new Set(reasons)]
}

function explained(errors) {
  const inner = Object.entries(errors)
    .filter(([key]) => key !== 'message')
    .map(([, value]) => JSON.stringify(value))
  return [errors.message, ...inner].join(' ')
}
