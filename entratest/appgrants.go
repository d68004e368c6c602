package entratest

import (
	"errors"
	"slices"
	"strings"
)

// grantOnBehalfOf is RFC 7523's grant type, which Entra uses for on-behalf-of.
const grantOnBehalfOf = "urn:ietf:params:oauth:grant-type:jwt-bearer"

// clientCredentials is an application that acts for itself.
func (t *Tenant) clientCredentials(q *tokenRequest) (*tokenResponse, error) {
	if no := t.identify(q); no != nil {
		return nil, no
	}
	raw := q.scope()
	if raw == "" {
		return nil, refuse(900144, "scope")
	}
	if no := t.authenticate(q, platformWeb); no != nil {
		return nil, no
	}
	set, no := q.dir.readScopes(q.client, raw)
	if no != nil {
		return nil, no
	}
	if no := t.checkResource(q.indicator(), set); no != nil {
		return nil, no
	}
	if len(set.asks) == 0 {
		return nil, refuse(1002012, raw)
	}
	a, no := q.dir.oneAsk(set)
	if no != nil {
		return nil, no
	}
	if !a.isDefault() {
		return nil, refuse(1002012, raw)
	}
	return t.respondApp(q, a)
}

func (t *Tenant) respondApp(q *tokenRequest, a ask) (*tokenResponse, error) {
	if q.client.NoPrincipal {
		return nil, refuse(7000229, q.client.ClientID, t.TenantID)
	}
	if a.resource.AssignmentRequired && len(q.dir.appRolesOf(q.client, a.resource)) == 0 {
		return nil, refuse(501051, q.client.ClientID, q.client.Name, a.resource.ClientID, a.resource.Name)
	}
	life := t.lifetime(q.demand)
	give := award{challenges: q.demand.challenges, client: q.client, proof: q.proof, resource: a.resource, as: a.as}
	access, err := t.accessToken(q.dir, q.base, give, life)
	if err != nil {
		return nil, err
	}
	return &tokenResponse{
		Type: "Bearer", AccessToken: access, ExpiresIn: int(life.Seconds()), ExtExpiresIn: int(life.Seconds()),
	}, nil
}

// onBehalfOf exchanges a person's access token for this application for one for another.
func (t *Tenant) onBehalfOf(q *tokenRequest) (*tokenResponse, error) {
	if no := t.identify(q); no != nil {
		return nil, no
	}
	assertion, no := q.need("assertion")
	if no != nil {
		return nil, no
	}
	if use, no := q.need("requested_token_use"); no != nil {
		return nil, no
	} else if use != "on_behalf_of" {
		return nil, refuse(90100, "requested_token_use")
	}
	if q.scope() == "" {
		return nil, refuse(900144, "scope")
	}
	if no := t.authenticate(q, platformWeb); no != nil {
		return nil, no
	}
	in, no := t.asserted(q, assertion)
	if no != nil {
		return nil, no
	}
	set, no := q.dir.readScopes(q.client, q.scope())
	if no != nil {
		return nil, no
	}
	if no := t.checkResource(q.indicator(), set); no != nil {
		return nil, no
	}
	a, no := q.dir.oneAsk(set)
	if no != nil {
		return nil, no
	}
	if no := t.welcome(q, a, in); no != nil {
		return nil, no
	}
	return t.respond(q, in, set, a, nil)
}

// asserted checks the token that a middle tier shows, and finds the sign-in behind it.
func (t *Tenant) asserted(q *tokenRequest, assertion string) (signedIn, *refusal) {
	b, err := t.open(assertion)
	switch {
	case errors.Is(err, errExpired):
		return signedIn{}, refuse(50013, "The assertion is not within its valid time range")
	case err != nil:
		return signedIn{}, refuse(50013, err.Error())
	case !q.client.isAudience(b.Audience):
		return signedIn{}, refuse(500131, b.Audience, q.client.ClientID, q.client.ClientID, q.client.Name)
	case b.Scopes == "":
		return signedIn{}, refuse(7000114, q.client.ClientID)
	}
	in := signedIn{person: b.Object, at: t.now()}
	t.remember(func(s *state) {
		if kept := s.issued[b.ID]; kept != nil {
			in = kept.signedIn
		}
	})
	in.client, in.platform, in.nonce = q.client.ClientID, platformWeb, ""
	return in, nil
}

// isAudience says whether a token with that audience is for this application.
func (a *App) isAudience(audience string) bool {
	return strings.EqualFold(audience, a.ClientID) ||
		slices.ContainsFunc(a.URIs, func(uri string) bool { return strings.EqualFold(uri, audience) })
}
