// Package entra trusts and talks to Microsoft Entra ID.
//
// It does four things, and hides behind them what is hard about each:
//
//   - A [Verifier] says who an access token speaks for, or exactly why it does not: signature, audience,
//     issuer, tenant, expiry, not-before, client, object ID and scope, for tokens of version 1 and 2. Every
//     "no" is a [*Refusal] that names the check, what was wanted and what came.
//   - A [Client] signs people in to a web application (authorization code, PKCE, state, nonce; the ID
//     token's signature is checked), asks Entra again later whether they are still welcome, and gets tokens
//     for other services: on behalf of a person, or for the application itself.
//   - A [Credential] proves who the application is: a managed identity, a Kubernetes workload identity, a
//     certificate, or (not in production) a secret.
//   - Errors say what to do. Every AADSTS code that people meet becomes an [*Error] with a remedy of one
//     sentence; [*InteractionRequiredError] carries the claims that the next sign-in must satisfy.
//
// # What can't happen by accident
//
// Tokens are of type [Token], which prints as "[token]": only Reveal gives the text out. No error, refusal
// or table of checks holds a token or a part of one. A person is the pair of tenant and object ID
// ([Identity.Key]); names and addresses are for display. Anything unknown is refused.
//
// # Clouds
//
// The zero [Cloud] is the public one; [USGovernment] and [China] are the others, and [DevCloud] is a tenant on
// your own machine, such as package entratest runs. Only there may the address be plain http.
package entra
