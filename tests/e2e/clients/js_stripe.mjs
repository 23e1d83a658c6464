// stripe: makes its own agents, which no environment variable of Node's reaches.
import Stripe from 'stripe'

const stripe = new Stripe('sk_test_123', { maxNetworkRetries: 0, timeout: 20000 })
const customers = await stripe.customers.list()
let refused = null
try {
  await stripe.customers.create({ email: 'a@up.test' })
} catch (error) {
  refused = { status: error.statusCode, refusal: error.headers?.['remit-refusal'] }
}
console.log(JSON.stringify({ object: customers.object, refused }))
