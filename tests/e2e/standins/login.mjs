// An identity provider where people sign in: `oidc-provider` with its own pages for that. Whoever gives a name is that person.
//
//   node login.mjs CONFIG.json     { port, client, people: { NAME: CLAIMS } }
//
// `GET /test/seen` tells the authorization requests.

import { readFileSync } from 'node:fs';
import http from 'node:http';

import Provider from 'oidc-provider';

const config = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const seen = [];

const provider = new Provider(`http://127.0.0.1:${config.port}`, {
  clients: [config.client],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
  // Where the ID token alone is asked for, what it says stands in it.
  conformIdTokenClaims: false,
  findAccount: (_, name) => ({ accountId: name, claims: () => ({ sub: name, ...config.people[name] }) }),
  pkce: { required: () => true },
  enabledJWA: { idTokenSigningAlgValues: ['RS256'] },
});

provider.use(async (ctx, next) => {
  if (ctx.path === '/auth' && ctx.method === 'GET') seen.push(ctx.query);
  await next();
});

const answer = provider.callback();
http.createServer((request, response) => {
  if (request.url === '/test/seen') response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(seen));
  else answer(request, response);
}).listen(config.port, '127.0.0.1');
