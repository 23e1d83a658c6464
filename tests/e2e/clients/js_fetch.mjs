// fetch, as it is built into Node: a read, an act, a refused act.
const api = 'https://api.github.com'
const headers = { authorization: 'Bearer ghp_real_alice', 'content-type': 'application/json' }
const who = await fetch(`${api}/user`, { headers })
const issue = await fetch(`${api}/repos/alice/demo/issues`, { method: 'POST', headers, body: JSON.stringify({ title: 'by fetch' }) })
const refused = await fetch(`${api}/repos/alice/demo`, { method: 'DELETE', headers })
console.log(JSON.stringify({
  login: (await who.json()).login,
  issue: (await issue.json()).title,
  refused: { status: refused.status, refusal: refused.headers.get('remit-refusal'), body: await refused.json() },
}))
