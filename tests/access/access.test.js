import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'

import { Deployment, parseTemplate, policiesOf, TemplateError } from './template.js'

const folder = mkdtempSync(join(tmpdir(), 'access-'))
after(() => rmSync(folder, { recursive: true }))

function access(...options) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'access.js'), ...options], {
    encoding: 'utf8',
  })
  return { status, stdout, stderr }
}

function file(name, text) {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const POLICY = (action, resource = '*') =>
  JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Sid: 'Only', Effect: 'Allow', Action: action, Resource: resource }],
  })

/** A table with one principal, who has the policies of a file. */
const TABLE = (policies, rows) => `
principals: { someone: { arn: 'arn:aws:iam::111122223333:user/someone', policies: [${policies}] } }
things:
  bucket: { arn: 'arn:aws:s3:::bucket', account: '111122223333' }
  host: { arn: 'arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0' }
rows:
${rows.map((row) => `  - ${row}`).join('\n')}
`

test('our policies answer every question of our table as expected', () => {
  const { status, stdout } = access()
  assert.equal(status, 0, stdout)
  const [, count] = /^(\d+) questions, every answer as expected$/m.exec(stdout)
  assert.ok(Number(count) >= 75, `${count} questions`)
})

test('an answer that is not the expected one is shown with its reason, and is exit code 1', () => {
  file('mine.json', POLICY('s3:ListBucket'))
  const table = file(
    'table.yaml',
    TABLE('mine.json', [
      "{ who: someone, with: key, do: 's3:ListBucket', on: bucket, expect: denied, because: Nobody lists }",
      "{ who: someone, with: key, do: 's3:DeleteBucket', on: bucket, expect: denied, because: Nobody deletes }",
    ]),
  )
  const { status, stdout } = access('--table', table)
  assert.equal(status, 1)
  assert.equal(
    stdout,
    `FAIL   1  someone (key) s3:ListBucket bucket
          allowed, expected denied by Only
          Nobody lists
ok     2  someone (key) s3:DeleteBucket bucket
          denied by no statement about it
          Nobody deletes
2 questions, 1 answered otherwise than expected
`,
  )
  const [failed] = JSON.parse(access('--table', table, '--failed', '--format', 'json').stdout)
  assert.deepEqual(failed, {
    number: 1,
    because: 'Nobody lists',
    who: 'someone',
    with: 'key',
    do: 's3:ListBucket',
    on: 'bucket',
    tags: {},
    where: {},
    expected: 'denied',
    found: 'allowed',
    reason: 'Only',
  })
})

test('a table may name a template of its own', () => {
  file(
    'template.yaml',
    `Parameters: { Bucket: { Type: String } }
Resources:
  Readers:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: '2012-10-17'
        Statement: [{ Effect: Allow, Action: 's3:ListBucket', Resource: !Sub 'arn:aws:s3:::\${Bucket}' }]
`,
  )
  const row = "{ who: someone, with: key, do: 's3:ListBucket', on: bucket, expect: allowed, because: Readers list }"
  const templates = 'templates: { mine: { file: template.yaml, parameters: { Bucket: bucket } } }'
  const table = file(
    'own.yaml',
    `variables: { account: '111122223333', region: eu-west-1 }\n${templates}${TABLE('mine/Readers', [row])}`,
  )
  assert.equal(access('--table', table).status, 0)
})

test('a question that cannot be put is exit code 2, and says why', () => {
  const row = (fields) =>
    `{ ${Object.entries({
      who: 'someone',
      with: 'key',
      do: "'s3:ListBucket'",
      on: 'bucket',
      expect: 'denied',
      because: 'x',
      ...fields,
    })
      .map(([key, value]) => `${key}: ${value}`)
      .join(', ')} }`
  file('none.json', '{}')
  file('broken.json', '{')
  file('good.json', POLICY('s3:ListBucket'))
  const cases = [
    ['good.json', row({ who: 'nobody' }), 'row 1: no principal `nobody` in the table'],
    ['good.json', row({ on: 'nothing' }), 'row 1: no thing `nothing` in the table'],
    ['good.json', row({ expect: 'maybe' }), 'row 1: `expect` is allowed or denied'],
    ['good.json', row({ with: 'luck' }), 'row 1: `with` is one of'],
    ['good.json', row({ extra: 1 }), 'row 1: no field `extra` in a row'],
    ['good.json', row({ because: "''" }), 'row 1: `because` must be there, and be its own'],
    ['good.json', row({ do: "'s3:Teleport'" }), 's3:Teleport on bucket: invalid.action'],
    ['good.json', row({ do: "'ssm:StartSession'" }), 'ssm:StartSession on bucket: no.resource.types'],
    [
      'good.json',
      row({ where: "{ 'ssm:SessionDocumentAccessCheck': 'true' }" }),
      'AWS has no ssm:SessionDocumentAccessCheck in such a request',
    ],
    ['none.json', row({}), 'no `Statement` in it, so it is no policy'],
    ['broken.json', row({}), 'broken.json: '],
    ['mine/Readers', row({}), 'policy `mine/Readers`: no template `mine` in the table'],
  ]
  for (const [policies, rows, message] of cases) {
    const { status, stderr } = access('--table', file('bad.yaml', TABLE(policies, [rows])))
    assert.equal(status, 2, message)
    assert.ok(stderr.includes(message), `${stderr} does not say ${message}`)
  }
  for (const text of ['rows: []', 'rows: {', '']) {
    assert.equal(access('--table', file('not-a-table.yaml', text)).status, 2, text)
  }
  for (const options of [
    ['--table', join(folder, 'missing.yaml')],
    ['--format', 'xml'],
    ['--what'],
    ['--set', 'account'],
  ]) {
    assert.equal(access(...options).status, 2, options.join(' '))
  }
})

test('our questions find what is weak in the policy of the common guide', () => {
  const { status, stdout } = access('--user', join(import.meta.dirname, 'guide.json'), '--failed', '--format', 'json')
  assert.equal(status, 1)
  const wrong = JSON.parse(stdout).filter((each) => each.found === 'allowed' && each.who === 'alice')
  assert.deepEqual(
    wrong.map((each) => `${each.with}: ${each.do} ${each.on}`),
    [
      // BoolIfExists on an Allow, of who has no such attribute.
      'key: ssm:StartSession host-a',
      // No condition at all on what the guide lets everybody see.
      'no mfa: ssm:DescribeSessions everything',
      'no mfa: ec2:DescribeInstances everything',
      // No check of the document, so none need be named or allowed.
      'mfa: ssm:StartSession host-a',
      // session/${aws:username}-*, and no second factor.
      'mfa: ssm:TerminateSession session-of-alice-2',
      'mfa: ssm:ResumeSession session-of-alice-2',
      'mfa: ssm:TerminateSession session-of-a-role-named-alice',
      'mfa: ssm:ResumeSession session-without-tags',
      'no mfa: ssm:TerminateSession session-of-alice',
      'key: ssm:ResumeSession session-of-alice',
    ],
  )
})

test('the examples of docs/access.md run', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/access.md'), 'utf8')
  const [, lines] = /```\n(ok {5}1 [^]*?)```/.exec(page)
  assert.ok(access().stdout.startsWith(lines), lines)
  const [, table] = /```yaml\n([^]*?)```/.exec(page)
  file('extra.json', POLICY('ssm:DescribeSessions'))
  file(
    'access-template.yaml',
    `Parameters: { Team: { Type: String } }
Resources: { OperatorPolicy: { Type: AWS::IAM::ManagedPolicy, Properties: { PolicyDocument: ${POLICY('ec2:DescribeInstances')} } } }
`,
  )
  assert.equal(access('--table', file('of-the-page.yaml', table)).status, 0)
})

test('our questions are put with another account, Region and tag', () => {
  const guide = readFileSync(join(import.meta.dirname, 'guide.json'), 'utf8')
  const mine = file(
    'sessions.json',
    guide.replace('SessionOwner', 'Owner').replaceAll(':*:*:', ':us-east-1:999988887777:'),
  )
  const settings = ['--set', 'account=999988887777', '--set', 'region=us-east-1', '--set', 'tag=Owner']
  const { stdout } = access('--user', mine, ...settings, '--format', 'json')
  const answers = JSON.parse(stdout).filter(
    (each) =>
      each.who === 'alice' && each.on.startsWith('host-') && !each.on.includes('+') && each.do === 'ssm:StartSession',
  )
  // As in the guide, whoever names no document gets in: with the right tag, and with a long-term key too.
  assert.deepEqual(
    answers.map((each) => [each.with, each.on, each.found]),
    [
      ['key', 'host-a', 'allowed'],
      ['mfa', 'host-a', 'allowed'],
    ],
  )
})

test('a policy is read from each form in which the AWS CLI prints it', () => {
  const policy = JSON.parse(POLICY('s3:ListBucket'))
  const row = "{ who: someone, with: key, do: 's3:ListBucket', on: bucket, expect: allowed, because: Readers list }"
  const forms = [
    policy,
    { PolicyVersion: { Document: policy, VersionId: 'v1' } },
    { UserName: 'someone', PolicyDocument: policy },
  ]
  for (const form of forms) {
    file('form.json', JSON.stringify(form))
    assert.equal(access('--table', file('forms.yaml', TABLE('form.json', [row]))).status, 0)
  }
})

test('a role has the policies that it names and those that name it', () => {
  const statement = (sid) => `{ Statement: [{ Sid: ${sid}, Effect: Allow, Action: 's3:ListBucket', Resource: '*' }] }`
  const template = parseTemplate(
    `
Parameters: { More: { Type: String, Default: 'no' } }
Conditions: { HasMore: !Equals [!Ref More, 'yes'] }
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      ManagedPolicyArns: [!Ref Named, !Sub 'arn:\${AWS::Partition}:iam::aws:policy/ReadOnlyAccess']
      Policies: [{ PolicyName: inline, PolicyDocument: ${statement('Inline')} }]
  Named: { Type: AWS::IAM::ManagedPolicy, Properties: { PolicyDocument: ${statement('Named')} } }
  Naming: { Type: AWS::IAM::ManagedPolicy, Properties: { Roles: [!Ref Role], PolicyDocument: ${statement('Naming')} } }
  Sometimes: { Type: AWS::IAM::Policy, Condition: HasMore, Properties: { Roles: [!Ref Role], PolicyDocument: ${statement('Sometimes')} } }
  Other: { Type: AWS::IAM::Policy, Properties: { Users: [!Ref Role2], PolicyDocument: ${statement('Other')} } }
`,
    'template',
  )
  for (const [more, expected] of [
    ['no', ['Named', 'Naming', 'Inline']],
    ['yes', ['Named', 'Naming', 'Sometimes', 'Inline']],
  ]) {
    const deployment = new Deployment(template, {
      account: '111122223333',
      region: 'eu-west-1',
      parameters: { More: more },
    })
    const { identity, managed } = policiesOf(deployment, 'Role')
    assert.deepEqual(
      identity.map((each) => each.policy.Statement[0].Sid),
      expected,
    )
    assert.deepEqual(managed, ['arn:aws:iam::aws:policy/ReadOnlyAccess'])
  }
})

test('intrinsic functions have the value that CloudFormation gives them', () => {
  const template = parseTemplate(
    `
Parameters: { Name: { Type: String, Default: '' }, List: { Type: CommaDelimitedList, Default: 'a,b' }, Needed: { Type: String } }
Conditions:
  Named: !Not [!Equals [!Ref Name, '']]
  Either: !Or [!Condition Named, !Equals [!Ref AWS::Region, eu-west-1]]
  Both: !And [!Condition Named, !Condition Either]
Mappings: { Map: { eu-west-1: { Key: found } } }
Resources:
  Bucket: { Type: AWS::S3::Bucket }
  Key: { Type: AWS::KMS::Key }
  Policy: { Type: AWS::IAM::ManagedPolicy, Properties: { PolicyDocument: {} } }
  Sometimes: { Type: AWS::S3::Bucket, Condition: Named }
  Topic: { Type: AWS::SNS::Topic }
  Function: { Type: AWS::Lambda::Function }
`,
    'template',
  )
  const at = (parameters = {}) => new Deployment(template, { account: '111122223333', region: 'eu-west-1', parameters })
  const value = (text, parameters) =>
    at(parameters).resolve(parseTemplate(`Resources: { x: ${text} }`, 'x').Resources.x)
  for (const [text, expected] of [
    ['!Ref Bucket', 'bucket'],
    ['!Ref Policy', 'arn:aws:iam::111122223333:policy/Policy'],
    ['!GetAtt Bucket.Arn', 'arn:aws:s3:::bucket'],
    ['!GetAtt [Key, Arn]', 'arn:aws:kms:eu-west-1:111122223333:key/Key'],
    ['!Sub "${Bucket.Arn}/*"', 'arn:aws:s3:::bucket/*'],
    ['!Sub "${!aws:username} of ${AWS::AccountId}"', '${aws:username} of 111122223333'],
    ['"${aws:username}"', '${aws:username}'],
    ['!Sub ["${One}-${AWS::Region}", { One: !Ref Bucket }]', 'bucket-eu-west-1'],
    ['!If [Named, yes, !Ref AWS::NoValue]', undefined],
    ['[!If [Named, 1, !Ref AWS::NoValue], 2]', [2]],
    [
      '{ a: !If [Either, !Ref Topic, b], c: !If [Both, d, !Ref AWS::NoValue] }',
      { a: 'arn:aws:sns:eu-west-1:111122223333:Topic' },
    ],
    ['!Join ["-", !Ref List]', 'a-b'],
    ['!Select [1, !Split [",", "a,b"]]', 'b'],
    ['!FindInMap [Map, !Ref AWS::Region, Key]', 'found'],
  ]) {
    assert.deepEqual(value(text), expected, text)
  }
  for (const [text, message] of [
    ['!Ref Needed', 'parameter `Needed` needs a value'],
    ['!Ref Nothing', '`Nothing` is neither a parameter nor a resource'],
    ['!GetAtt Key.KeyId', 'attribute `Key.KeyId` cannot be resolved here'],
    ['!GetAtt Function.Arn', 'the ARN of `Function` (AWS::Lambda::Function) cannot be resolved here'],
    ['!Transform { Name: x }', 'Fn::Transform cannot be resolved here'],
    ["'{{resolve:ssm:x}}'", '{{resolve:ssm:x}} cannot be resolved here'],
    ['!ImportValue x', 'Fn::ImportValue cannot be resolved here'],
    ['!If [Other, a, b]', 'condition `Other` is not in the template'],
  ]) {
    assert.throws(
      () => value(text),
      (error) => error instanceof TemplateError && error.message.includes(message),
      text,
    )
  }
  assert.throws(() => at({ Other: 1 }), /parameter `Other` is not in the template/)
  assert.throws(() => at().resource('Sometimes'), /is not created with these parameters/)
  assert.throws(() => policiesOf(at(), 'Bucket'), /has no policy/)
  assert.throws(() => parseTemplate('a: 1', 'x'), /no `Resources` in it/)
  assert.throws(() => parseTemplate('a: [', 'x'), TemplateError)
})
