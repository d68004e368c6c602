// Package entra trusts and talks to Microsoft Entra ID.
//
// It does four things, and hides behind them what is hard about each:
//
//   - A [Verifier] says who an access token speaks for, or exactly why it does not.
//   - A [Client] signs people in to a web application, asks Entra again later whether they are still welcome, and
//     gets tokens for other services: on behalf of a person ([OnBehalfOf]), or for the application itself. A [Graph]
//     reads Microsoft Graph with them.
//   - A [Terminal] signs in the person who sits in front of a program.
//   - Errors say what to do.
//
// # Who may call an API
//
// A Verifier checks the signature, audience, issuer, tenant, expiry, not-before, client, object ID, kind of caller and
// scope, for tokens of version 1 and 2: which of the two an API gets is said by its own manifest, not by the endpoint
// that clients use, so both must be understood. Every "no" is a [*Refusal] that names the check, what was wanted and
// what came, in words that may be shown. If Entra's keys can't be had, the error is an [*Error] whose reason is
// [Unavailable]: answer 503, not 401. [Verifier.Explain] makes a table of all checks for a person who wonders.
//
// A person is the pair of tenant and object ID ([Identity.Key]). Names and addresses change, can be set by others and
// are for display. Roles are the best thing to decide by. Groups work too: of a person who is in more than 200 the
// token names none, and a [Graph] finds them, or the person is refused.
//
// # Signing in
//
// [Client.AuthCodeURL] sends a browser to Entra and [Client.Redeem] takes it back. State, nonce and PKCE are not
// optional, and the ID token's signature is checked. What Redeem returns holds a [State]: store it sealed. Call
// [Client.Refresh] with it from time to time, for instance whenever your own session is renewed: it asks Entra each
// time, so that lost roles are lost within the hour and a disabled account is out.
//
// # Calling other services
//
// An [OnBehalfOf] exchanges a caller's token for a token of another service, so that the service sees the caller and
// not the application. It keeps and renews what it got, and of a thousand callers at once one asks Entra. Applications
// can't be exchanged; [Client.ApplicationToken] is for work that the application does as itself.
//
// # Credentials
//
// An application proves who it is by a [Credential]. In this order, take the first that is possible where the program
// runs: [ManagedIdentity], [WorkloadIdentity], [CertificateFile]. A [Secret] is for development.
//
// # Errors
//
// Callers branch on type: *[Refusal] (the token is not good), *[InteractionRequiredError] (the person must sign in
// again; carry its claims into SignInRequest.Claims), *[ConsentRequiredError] (an administrator must grant a
// permission; the link is in it), [ErrAssertionEnded] (refresh the sign-in first). All others are *[Error]; its
// [Reason] says whether something has ended or only waits, and its Remedy, in one sentence, what to change. [Remedy]
// knows the AADSTS numbers that people meet.
//
// # What can't happen by accident
//
// Tokens are of type [Token], which prints as "[token]"; only Reveal gives the text out. State and Credential are like
// it. No error, refusal or table of checks holds a token or a part of one. Redirects of Entra's endpoints are not
// followed, keys that a token brings along are not looked at, and the resource parameter, which Entra refuses, is
// never sent. Anything unknown is refused.
//
// # Clouds and tests
//
// The zero [Cloud] is the public one; [USGovernment] and [China] are the others, and [DevCloud] is a tenant on your own
// machine, such as package entratest runs: with it, a test signs in, exchanges and is refused for real. Only there may
// the address be plain http.
package entra
