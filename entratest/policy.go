package entratest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// demand is what a claims challenge asks of the next sign-in.
type demand struct {
	mfa       bool
	notBefore time.Time
	// challenges: the client says that it understands claims challenges (client capability cp1).
	challenges bool
}

// readDemand understands the challenges that Entra and its resources give out: capolids and acrs ask
// for a stronger sign-in, nbf for a fresher one. Other claims are taken and ignored.
func readDemand(raw string) (demand, error) {
	var d demand
	if raw == "" {
		return d, nil
	}
	var doc struct {
		AccessToken map[string]*struct {
			Essential bool     `json:"essential"`
			Value     string   `json:"value"`
			Values    []string `json:"values"`
		} `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(raw), &doc); err != nil {
		return d, fmt.Errorf("read claims: %w", err)
	}
	for name, claim := range doc.AccessToken {
		if claim == nil {
			continue
		}
		switch name {
		case "capolids", "acrs":
			d.mfa = true
		case "xms_cc":
			d.challenges = slices.Contains(claim.Values, "cp1")
		case "nbf":
			var seconds int64
			if _, err := fmt.Sscan(claim.Value, &seconds); err != nil {
				return d, fmt.Errorf("read claims: nbf: %w", err)
			}
			d.notBefore = time.Unix(seconds, 0)
		}
	}
	return d, nil
}

// visitResources lists what a sign-in is for: the client itself and each resource that it asks for.
func (d *Directory) visitResources(v *visit) []*App {
	client := d.client(v.client)
	apps := []*App{client}
	set, no := d.readScopes(client, v.scope)
	if no != nil {
		return apps
	}
	for _, a := range set.asks {
		apps = append(apps, a.resource)
	}
	return apps
}

// policyFor is what all policies together ask of a person for some resources.
func (d *Directory) policyFor(p *Person, resources []*App) Policy {
	var sum Policy
	for _, policy := range d.Policies {
		target := d.resource(policy.Resource)
		if target == nil {
			target = d.app(policy.Resource)
		}
		if target == nil || !slices.Contains(resources, target) || !d.meant(policy.People, p) {
			continue
		}
		sum.Resource = target.ClientID
		sum.MFA = sum.MFA || policy.MFA
		sum.Block = sum.Block || policy.Block
		if f := policy.SignInFrequency; f > 0 && (sum.SignInFrequency == 0 || f < sum.SignInFrequency) {
			sum.SignInFrequency = f
		}
	}
	return sum
}

func (d *Directory) meant(people []string, p *Person) bool {
	return len(people) == 0 || slices.ContainsFunc(people, func(who string) bool { return d.person(who) == p })
}

// challenge is the claims parameter that satisfies a policy at the next sign-in.
func challenge(p Policy) string {
	return fmt.Sprintf(`{"access_token":{"capolids":{"essential":true,"values":["%s"]}}}`, derivedID("policy", p.Resource))
}
