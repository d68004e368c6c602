// Package guard puts Microsoft Entra ID and rules in front of an MCP server that is written with the official
// go-sdk, inside the same program.
//
//	guarded, err := guard.New(guard.Config{
//		Resource: "https://weather.contoso.com/mcp",
//		Tenant:   "6f89cf12-978b-4d23-ac18-9ef0c127cf87",
//		ClientID: "00d88624-1111-2222-3333-444455556666",
//		Rules:    []policy.Rule{{Allow: []string{"get_*"}, Roles: []string{"Weather.Read"}}},
//	})
//	...
//	server.AddReceivingMiddleware(guarded.Middleware())
//	http.ListenAndServe(":8080", guarded.Handler(mcp.NewStreamableHTTPHandler(...)))
//
// # What it does
//
// [Guard.Handler] serves the server's address and its protected resource metadata (RFC 9728), which tells
// clients where to sign in. Every request needs an access token of Entra for the API that ClientID is. Without a
// good one the answer is 401 with a challenge that says what is missing; a call that lacks only a scope gets 403
// with that scope (RFC 6750 §3). Bodies are read once and strictly: keys twice, batches, or headers that
// say something else than the body are refused.
//
// [Guard.Middleware] asks the rules about everything that comes through the handler. What the caller may not
// use is not in the lists, and is refused in the words in which the go-sdk refuses unknown names; what could be
// allowed with other arguments is refused with the reason. It refuses whatever did not come through the
// handler, so that forgetting the handler opens nothing.
//
// Tools learn who calls with [Caller], and get the caller's token for on-behalf-of with [CallerToken]. They
// don't find the token anywhere else: it is taken out of the request.
//
// # When to use the gateway instead
//
// Clients talk to Entra themselves here, so they must be registered there, and must cope with what Entra
// doesn't do: dynamic registration, and the resource parameter of RFC 8707. Clients that can't are what `genkan
// serve` is for. The rules are the same.
package guard
