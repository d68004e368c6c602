// Package entratest is a Microsoft Entra ID tenant in your process: sign-in pages, tokens, Microsoft
// Graph, on-behalf-of and managed identities, with Entra's behaviour down to the error code.
//
// In a test, one line gives a tenant with people and applications in it:
//
//	tenant := entratest.Start(t)
//
// tenant.URL is what https://login.microsoftonline.com is for the real one; Graph answers below
// tenant.URL/v1.0, Azure AI Search below tenant.URL/indexes and Key Vault below tenant.URL/keys.
// MSAL wants https: start the tenant with [WithTLS] and give MSAL tenant.Client().
//
// A program serves a tenant by itself:
//
//	tenant, err := entratest.New(entratest.Config{URL: "http://localhost:8081"})
//	http.Serve(listener, tenant)
//
// Nobody types a password: the sign-in page shows every person on a button. A browser that signed in
// before is signed in without a question, as at Entra; ask with prompt=select_account to choose anew.
//
// The hard days are methods of [Tenant]: [Tenant.Disable], [Tenant.SignOut], [Tenant.WithdrawConsent],
// [Tenant.ExpireSecrets], [Tenant.Require], [Tenant.RotateKeys], [Tenant.Advance] and [Tenant.FailNext].
//
// What is known about Entra's behaviour, from where, and which test shows it here, stands in
// docs/entra-parity.md. This package shares no code with the library that it tests.
package entratest
