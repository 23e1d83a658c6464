// An authorization server: `oidc-provider`, a certified implementation, with what the tests want of it turned on. Client
// authentication, client credentials, refresh tokens that rotate, introspection (RFC 7662), revocation (RFC 7009) and DPoP
// (RFC 9449) are its own. Token exchange (RFC 8693) and the JWT bearer grant (RFC 7523 §2.1) are registered here: who may vouch
// for a party is checked as those RFCs have it (issuer's key, audience, times), tokens are its own again.
//
//   node oidc.mjs CONFIG.json     { port, clients, issuers: { ISS: JWKS }, resource, scope, nonces, ttl }
//
// `GET /test/refresh` mints a refresh token as after a login; `GET /test/seen` tells the token requests; while
// `GET /test/outage?on` holds, nothing can be revoked.

import { readFileSync } from 'node:fs';
import http from 'node:http';

import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';
import { handler as clientCredentials } from 'oidc-provider/lib/actions/grants/client_credentials.js';
import * as helpers from 'oidc-provider/lib/helpers/grants.js';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const issuer = `http://127.0.0.1:${config.port}`;
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const KINDS = ['access_token', 'id_token', 'jwt'].map((kind) => `urn:ietf:params:oauth:token-type:${kind}`);
const seen = [];
let outage = false;

const provider = new Provider(issuer, {
  clients: config.clients.map((client) => ({ redirect_uris: [], response_types: [], ...client })),
  scopes: ['openid', 'offline_access', ...config.scope.split(' ')],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['RS256', 'ES256', 'EdDSA'],
    dPoPSigningAlgValues: ['ES256'],
  },
  extraTokenClaims: (ctx) => ctx.state.parties,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => Boolean(config.nonces) },
    introspection: { enabled: true, allowedPolicy: () => true },
    revocation: { enabled: true, allowedPolicy: (_, client, token) => token.clientId === client.clientId },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => config.resource,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, resource) => {
        if (resource !== config.resource) throw new errors.InvalidTarget();
        return { scope: config.scope, accessTokenTTL: config.ttl ?? 300, accessTokenFormat: 'opaque' };
      },
    },
  },
  ttl: { ClientCredentials: config.ttl ?? 300, AccessToken: config.ttl ?? 300, RefreshToken: 3600, Grant: 3600 },
});

// What a party's token says, if its issuer is one that vouches.
async function vouched(token, what) {
  try {
    const keys = config.issuers[decodeJwt(token).iss];
    if (!keys) throw new Error('nobody knows its issuer');
    const audience = [issuer, `${issuer}/token`];
    const { payload } = await jwtVerify(token, createLocalJWKSet(keys), { audience, requiredClaims: ['sub', 'exp', 'aud'] });
    return payload;
  } catch (error) {
    throw new errors.InvalidGrant(`${what}: ${error.message}`);
  }
}

// Scopes, resource, proof of possession and the token itself: as for client credentials.
const bound = Object.fromEntries(Object.entries(helpers).map(([name, helper]) => [name, helper.bind(undefined, provider)]));
async function issue(ctx, parties, more) {
  ctx.state.parties = parties;
  await clientCredentials(provider, bound, ctx);
  Object.assign(ctx.body, more);
}

provider.registerGrantType(EXCHANGE, async (ctx) => {
  const { params } = ctx.oidc;
  if (!params.subject_token || !KINDS.includes(params.subject_token_type)) throw new errors.InvalidRequest('subject_token and its type are wanted');
  if (Boolean(params.actor_token) !== Boolean(params.actor_token_type)) throw new errors.InvalidRequest('actor_token goes with its type');
  const subject = await vouched(params.subject_token, 'subject_token');
  const actor = params.actor_token && await vouched(params.actor_token, 'actor_token');
  // RFC 8693 §4.1: the outermost actor is who acts now, those before it are inside.
  const act = actor ? { sub: actor.sub, ...(actor.act && { act: actor.act }) } : subject.act;
  await issue(ctx, { subject: subject.sub, act }, { issued_token_type: KINDS[0] });
}, ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'scope', 'resource', 'audience'], ['resource', 'audience']);

provider.registerGrantType(BEARER, async (ctx) => {
  if (!ctx.oidc.params.assertion) throw new errors.InvalidRequest('an assertion is wanted');
  const { sub, act } = await vouched(ctx.oidc.params.assertion, 'assertion');
  await issue(ctx, { subject: sub, act }, {});
}, ['assertion', 'scope', 'resource'], ['resource']);

provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/token') {
    const { params, client } = ctx.oidc ?? {};
    seen.push({ status: ctx.status, grant: params?.grant_type, scope: params?.scope, client: client?.clientId, dpop: Boolean(ctx.get('dpop')), error: ctx.body?.error, description: ctx.body?.error_description });
  } else if (ctx.path.startsWith('/token/')) {
    seen.push({ status: ctx.status, path: ctx.path });
  }
});

// For the log of a test that fails.
provider.on('grant.error', (_, error) => console.error(error.error, error.error_description, error.error_detail));

async function loggedIn() {
  const clientId = config.clients.find((client) => client.grant_types.includes('refresh_token')).client_id;
  const client = await provider.Client.find(clientId);
  const grant = new provider.Grant({ clientId, accountId: 'ada' });
  grant.addOIDCScope('openid offline_access');
  grant.addResourceScope(config.resource, config.scope);
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId: 'ada', client, grantId, gty: 'authorization_code', resource: config.resource,
    scope: `openid offline_access ${config.scope}`, rotations: 0, iiat: Math.floor(Date.now() / 1000),
  });
  return token.save();
}

const answer = provider.callback();
http.createServer(async (request, response) => {
  const tell = (value) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (request.url === '/test/refresh') tell({ refresh_token: await loggedIn() });
  else if (request.url === '/test/seen') tell(seen);
  else if (request.url.startsWith('/test/outage')) tell({ outage: outage = request.url.endsWith('?on') });
  else if (outage && request.url === '/token/revocation') response.writeHead(503).end();
  else answer(request, response);
}).listen(config.port, '127.0.0.1');
