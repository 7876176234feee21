/**
 * Ways to weaken or to break a policy, each of which a good table of questions notices.
 *
 * For every statement: it is gone; each of its actions, resources and conditions is gone; a comparison that must fail
 * without its key lets it pass, or the other way round; an allowed resource becomes every resource.
 *
 * It cannot: judge a policy of AWS, or think of two changes at once.
 */

/** All mutations of a policy: `[{ name, policy, statement }]`, where `statement` is the changed one as it was. */
export function mutations(policy) {
  const statements = [policy.Statement].flat()
  return statements.flatMap((statement, index) =>
    ofStatement(statement).map(({ name, changed }) => ({
      name: `${statement.Sid ?? index}: ${name}`,
      statement,
      policy: {
        ...policy,
        Statement: [...statements.slice(0, index), ...(changed ? [changed] : []), ...statements.slice(index + 1)],
      },
    })),
  )
}

function ofStatement(statement) {
  const found = [{ name: 'gone' }]
  for (const key of ['Action', 'NotAction', 'Resource', 'NotResource']) {
    const values = [statement[key] ?? []].flat()
    for (const value of values.length > 1 ? values : []) {
      found.push({
        name: `${key} without ${value}`,
        changed: { ...statement, [key]: values.filter((each) => each !== value) },
      })
    }
  }
  if (statement.Effect === 'Allow' && statement.Resource && ![statement.Resource].flat().includes('*')) {
    found.push({ name: 'every resource', changed: { ...statement, Resource: '*' } })
  }
  const condition = statement.Condition ?? {}
  for (const [operator, keys] of Object.entries(condition)) {
    for (const key of Object.keys(keys)) {
      found.push({
        name: `without ${operator} ${key}`,
        changed: { ...statement, Condition: without(condition, operator, key) },
      })
    }
    const other = { Bool: 'BoolIfExists', BoolIfExists: 'Bool' }[operator]
    for (const [key, value] of other ? Object.entries(keys) : []) {
      const moved = without(condition, operator, key)
      moved[other] = { ...moved[other], [key]: value }
      found.push({ name: `${other} ${key}`, changed: { ...statement, Condition: moved } })
    }
  }
  return found
}

function without(condition, operator, key) {
  const { [key]: gone, ...kept } = condition[operator]
  const { [operator]: keys, ...others } = condition
  return Object.keys(kept).length > 0 ? { ...others, [operator]: kept } : others
}
