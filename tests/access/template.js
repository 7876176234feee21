/**
 * The policies of a CloudFormation or SAM template, as a deployment with given parameters would create them.
 *
 * The template is read, its parameters and conditions are put in, and every intrinsic function inside a policy is
 * replaced by its value. A resource that does not exist yet gets a name made of its logical id: what matters to a
 * policy is that two references to one resource agree.
 *
 * It cannot: evaluate `Fn::ImportValue`, `Fn::Transform`, dynamic references (`{{resolve:...}}`), or an attribute of
 * a resource type that is not listed below. Each is an error that names it, never a guess.
 */

import { readFileSync } from 'node:fs'
import { parseDocument } from 'yaml'

const INTRINSIC = [
  'Base64',
  'Cidr',
  'FindInMap',
  'GetAZs',
  'GetAtt',
  'If',
  'ImportValue',
  'Join',
  'Select',
  'Split',
  'Sub',
  'Transform',
  'And',
  'Equals',
  'Not',
  'Or',
  'Contains',
]

/** Raised when a template or a policy cannot be read; its message says which and why. */
export class TemplateError extends Error {}

/** Reads a template; short tags such as `!Ref` are read into their long form. */
export function readTemplate(file) {
  return parseTemplate(readFileSync(file, 'utf8'), file)
}

/** The same, of text. */
export function parseTemplate(text, name) {
  const document = parseDocument(text, { customTags: shortTags() })
  if (document.errors.length > 0) {
    throw new TemplateError(`${name}: ${document.errors[0].message.split('\n')[0]}`)
  }
  const template = document.toJS()
  if (!template?.Resources) {
    throw new TemplateError(`${name}: no \`Resources\` in it`)
  }
  return template
}

/** A template deployed in thought: `resolve` gives the value of any part of it. */
export class Deployment {
  constructor(template, { account, region, stack = 'stack', partition = 'aws', parameters = {} }) {
    this.template = template
    this.pseudo = {
      'AWS::AccountId': account,
      'AWS::Partition': partition,
      'AWS::Region': region,
      'AWS::StackName': stack,
      'AWS::URLSuffix': 'amazonaws.com',
    }
    const declared = template.Parameters ?? {}
    for (const name of Object.keys(parameters)) {
      if (!declared[name]) throw new TemplateError(`parameter \`${name}\` is not in the template`)
    }
    this.parameters = {}
    for (const [name, { Default, Type }] of Object.entries(declared)) {
      const value = parameters[name] ?? Default
      if (value === undefined) continue
      const isList = Type === 'CommaDelimitedList' || Type.startsWith('List<')
      this.parameters[name] = isList ? String(value).split(',') : String(value)
    }
  }

  /** The resource of that logical id, without its conditional parts; an error if it is not created. */
  resource(id) {
    const resource = this.template.Resources[id]
    if (!resource) throw new TemplateError(`resource \`${id}\` is not in the template`)
    if (resource.Condition && !this.condition(resource.Condition)) {
      throw new TemplateError(`resource \`${id}\` is not created with these parameters`)
    }
    return { type: resource.Type, properties: this.resolve(resource.Properties ?? {}, id) }
  }

  /** The value of a part of the template. `where` is named in errors. */
  resolve(value, where = 'template') {
    const resolved = this.#value(value, where)
    return resolved === NO_VALUE ? undefined : resolved
  }

  condition(name) {
    const condition = this.template.Conditions?.[name]
    if (condition === undefined) throw new TemplateError(`condition \`${name}\` is not in the template`)
    return this.#truth(condition, name)
  }

  #value(value, where) {
    if (Array.isArray(value)) {
      return value.map((item) => this.#value(item, where)).filter((item) => item !== NO_VALUE)
    }
    if (typeof value === 'string' && value.includes('{{resolve:')) {
      throw new TemplateError(`${where}: ${value} cannot be resolved here`)
    }
    if (value === null || typeof value !== 'object') return value
    const keys = Object.keys(value)
    if (keys.length === 1 && (keys[0] === 'Ref' || keys[0].startsWith('Fn::'))) {
      return this.#intrinsic(keys[0], value[keys[0]], where)
    }
    const entries = keys.map((key) => [key, this.#value(value[key], where)])
    return Object.fromEntries(entries.filter(([, item]) => item !== NO_VALUE))
  }

  #intrinsic(name, argument, where) {
    switch (name) {
      case 'Ref':
        return this.#reference(argument, where)
      case 'Fn::GetAtt': {
        const [id, ...attribute] = typeof argument === 'string' ? argument.split('.') : argument
        return this.#attribute(id, attribute.join('.'), where)
      }
      case 'Fn::Sub': {
        const [text, own] = Array.isArray(argument) ? argument : [argument, {}]
        // `${!name}` is the way to write `${name}` for IAM.
        return text.replace(/\$\{([^}]+)\}/g, (found, key) => {
          if (key.startsWith('!')) return `\${${key.slice(1)}}`
          if (key in own) return this.#value(own[key], where)
          return key.includes('.') && !key.startsWith('AWS::')
            ? this.#intrinsic('Fn::GetAtt', key, where)
            : this.#reference(key, where)
        })
      }
      case 'Fn::If': {
        const [condition, yes, no] = argument
        return this.#value(this.condition(condition) ? yes : no, where)
      }
      case 'Fn::Join': {
        const [separator, items] = argument
        return this.#value(items, where).join(separator)
      }
      case 'Fn::Split': {
        const [separator, text] = argument
        return this.#value(text, where).split(separator)
      }
      case 'Fn::Select': {
        const [index, items] = argument
        return this.#value(items, where)[Number(this.#value(index, where))]
      }
      case 'Fn::FindInMap': {
        const [map, first, second] = this.#value(argument, where)
        const found = this.template.Mappings?.[map]?.[first]?.[second]
        if (found === undefined) throw new TemplateError(`${where}: ${map}/${first}/${second} is not in the mappings`)
        return found
      }
      default:
        throw new TemplateError(`${where}: ${name} cannot be resolved here`)
    }
  }

  #reference(name, where) {
    if (name === 'AWS::NoValue') return NO_VALUE
    if (name in this.pseudo) return this.pseudo[name]
    if (name in this.parameters) return this.parameters[name]
    if (this.template.Parameters?.[name]) throw new TemplateError(`${where}: parameter \`${name}\` needs a value`)
    const type = this.template.Resources[name]?.Type
    if (!type) throw new TemplateError(`${where}: \`${name}\` is neither a parameter nor a resource`)
    // Most references are names; these are ARNs.
    return type === 'AWS::IAM::ManagedPolicy' || type === 'AWS::SNS::Topic'
      ? this.#arn(name, type, where)
      : physicalName(name, type)
  }

  #attribute(id, attribute, where) {
    const type = this.template.Resources[id]?.Type
    if (!type) throw new TemplateError(`${where}: \`${id}\` is not a resource`)
    if (attribute !== 'Arn')
      throw new TemplateError(`${where}: attribute \`${id}.${attribute}\` cannot be resolved here`)
    return this.#arn(id, type, where)
  }

  #arn(id, type, where) {
    const name = physicalName(id, type)
    const { 'AWS::Partition': partition, 'AWS::AccountId': account, 'AWS::Region': region } = this.pseudo
    const local = {
      'AWS::DynamoDB::Table': `dynamodb:${region}:${account}:table/${name}`,
      'AWS::Events::Rule': `events:${region}:${account}:rule/${name}`,
      'AWS::IAM::InstanceProfile': `iam::${account}:instance-profile/${name}`,
      'AWS::IAM::ManagedPolicy': `iam::${account}:policy/${name}`,
      'AWS::IAM::Role': `iam::${account}:role/${name}`,
      'AWS::IAM::User': `iam::${account}:user/${name}`,
      'AWS::KMS::Key': `kms:${region}:${account}:key/${name}`,
      'AWS::Logs::LogGroup': `logs:${region}:${account}:log-group:${name}:*`,
      'AWS::S3::Bucket': `s3:::${name}`,
      'AWS::SNS::Topic': `sns:${region}:${account}:${name}`,
      'AWS::SQS::Queue': `sqs:${region}:${account}:${name}`,
    }[type]
    if (!local) throw new TemplateError(`${where}: the ARN of \`${id}\` (${type}) cannot be resolved here`)
    return `arn:${partition}:${local}`
  }

  #truth(condition, where) {
    if (typeof condition === 'string') return this.condition(condition)
    const [[name, argument]] = Object.entries(condition)
    switch (name) {
      case 'Condition':
        return this.condition(argument)
      case 'Fn::Equals': {
        const [left, right] = this.#value(argument, where)
        return String(left) === String(right)
      }
      case 'Fn::Not':
        return !this.#truth(argument[0], where)
      case 'Fn::And':
        return argument.every((item) => this.#truth(item, where))
      case 'Fn::Or':
        return argument.some((item) => this.#truth(item, where))
      default:
        throw new TemplateError(`condition \`${where}\`: ${name} cannot be evaluated`)
    }
  }
}

/** A policy document with a name: `{ name, policy }`. */
function named(name, policy) {
  return { name, policy }
}

/**
 * What a resource of a template says about access.
 *
 * `identity`: policies of whoever has the resource (a managed policy, a group, a user, a role); `resource`: the
 * policy that hangs on a thing (a bucket, a key, an endpoint, a role's trust); `managed`: ARNs of policies that AWS
 * writes.
 */
export function policiesOf(deployment, id) {
  const { type, properties } = deployment.resource(id)
  const inline = (properties.Policies ?? []).map((each) => named(each.PolicyName, each.PolicyDocument))
  switch (type) {
    case 'AWS::IAM::ManagedPolicy':
    case 'AWS::IAM::Policy':
      return { identity: [named(id, properties.PolicyDocument)], managed: [] }
    case 'AWS::IAM::Group':
    case 'AWS::IAM::User':
    case 'AWS::IAM::Role': {
      const { identity, managed } = attached(deployment, id, type)
      return { identity: [...identity, ...inline], managed, resource: properties.AssumeRolePolicyDocument }
    }
    case 'AWS::S3::BucketPolicy':
    case 'AWS::SNS::TopicPolicy':
    case 'AWS::SQS::QueuePolicy':
    case 'AWS::EC2::VPCEndpoint':
      return { identity: [], managed: [], resource: properties.PolicyDocument }
    case 'AWS::KMS::Key':
      return { identity: [], managed: [], resource: properties.KeyPolicy }
    default:
      throw new TemplateError(`resource \`${id}\` (${type}) has no policy`)
  }
}

/** Policies that a principal has by reference: those of the template, of its groups, and the ARNs of AWS's own. */
function attached(deployment, id, type) {
  const raw = deployment.template.Resources[id].Properties ?? {}
  const identity = []
  const managed = []
  for (const reference of raw.ManagedPolicyArns ?? []) {
    const target = reference?.Ref
    if (target && deployment.template.Resources[target]) {
      identity.push(...policiesOf(deployment, target).identity)
    } else {
      managed.push(deployment.resolve(reference, id))
    }
  }
  // A policy may name who has it.
  for (const [name, { Type, Condition, Properties = {} }] of Object.entries(deployment.template.Resources)) {
    const holders = [Properties.Groups, Properties.Roles, Properties.Users].flatMap((each) => each ?? [])
    const isPolicy =
      ['AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy'].includes(Type) && (!Condition || deployment.condition(Condition))
    if (isPolicy && holders.some((each) => each.Ref === id)) identity.push(...policiesOf(deployment, name).identity)
  }
  for (const reference of type === 'AWS::IAM::User' ? (raw.Groups ?? []) : []) {
    const group = policiesOf(deployment, reference.Ref)
    identity.push(...group.identity)
    managed.push(...group.managed)
  }
  return { identity, managed }
}

const NO_VALUE = Symbol('AWS::NoValue')

function physicalName(id, type) {
  return type === 'AWS::S3::Bucket' ? id.toLowerCase() : id
}

function shortTags() {
  const tags = []
  for (const name of [...INTRINSIC, 'Ref', 'Condition']) {
    const key = name === 'Ref' || name === 'Condition' ? name : `Fn::${name}`
    tags.push({ tag: `!${name}`, resolve: (text) => ({ [key]: text }) })
    for (const collection of ['seq', 'map']) {
      tags.push({ tag: `!${name}`, collection, resolve: (node) => ({ [key]: node.toJSON() }) })
    }
  }
  return tags
}
