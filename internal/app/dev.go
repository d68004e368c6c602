package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/genkan-mcp/genkan/entra"
	"github.com/genkan-mcp/genkan/entratest"
	"github.com/genkan-mcp/genkan/internal/config"
	"github.com/genkan-mcp/genkan/internal/samples"
)

// DevOptions say where `genkan dev` listens and keeps its data.
type DevOptions struct {
	Listen       string
	TenantListen string
	Data         string    // empty: a temporary folder, removed at the end
	Out          io.Writer // what a person reads
	Log          io.Writer
}

// Dev runs everything on loopback until ctx ends: the dev tenant, two sample servers, and Genkan in front of them.
func Dev(ctx context.Context, o DevOptions) (err error) {
	for _, address := range []string{o.Listen, o.TenantListen} {
		if err := onLoopback(address); err != nil {
			return err
		}
	}
	if o.Data == "" {
		if o.Data, err = os.MkdirTemp("", "genkan-dev-"); err != nil {
			return fmt.Errorf("make a temporary folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Data)) }()
	}
	listener, err := listen(ctx, o.Listen)
	if err != nil {
		return err
	}
	behind, err := startBehind(ctx, o.TenantListen, publicURL(listener))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	cfg, err := devConfig(behind, publicURL(listener), o.Data)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	var others sync.WaitGroup
	var failed error
	others.Go(func() { failed = serveAll(running, behind.services, func() {}) })
	err = run{
		cfg: cfg, around: Surroundings{Log: o.Log}, listener: listener, ready: func() { printBanner(o.Out, cfg, behind) },
	}.untilDone(ctx)
	stop() // what stands behind goes last, so that requests under way can be finished
	others.Wait()
	return errors.Join(err, failed)
}

// behind is what stands behind the door of `genkan dev`.
type behind struct {
	tenant   *entratest.Tenant
	services []service
	weather  string // addresses of the upstreams
	profile  string
}

func startBehind(ctx context.Context, tenantListen, public string) (*behind, error) {
	var b behind
	listeners := map[string]net.Listener{}
	for name, address := range map[string]string{"tenant": tenantListen, "weather": "127.0.0.1:0", "profile": "127.0.0.1:0"} {
		l, err := listen(ctx, address)
		if err != nil {
			for _, open := range listeners {
				err = errors.Join(err, open.Close())
			}
			return nil, err
		}
		listeners[name] = l
	}
	tenant, err := entratest.New(entratest.Config{URL: publicURL(listeners["tenant"])})
	if err != nil {
		return nil, fmt.Errorf("make the dev tenant: %w", err)
	}
	b.tenant = tenant
	b.weather = "http://" + listeners["weather"].Addr().String() + "/mcp"
	b.profile = "http://" + listeners["profile"].Addr().String() + "/mcp"
	client := &http.Client{Timeout: 5 * time.Second}
	profile, err := devProfile(tenant, client)
	if err != nil {
		return nil, err
	}
	door := &samples.Door{Issuer: public, JWKS: public + "/jwks", Audience: b.weather, HTTP: client, Now: time.Now}
	b.services = []service{
		{listeners["tenant"], tenant, nil},
		{listeners["weather"], door.Guard(samples.Weather()), nil},
		{listeners["profile"], profile, nil},
	}
	return &b, nil
}

// devProfile is the profile server as the dev tenant knows it.
func devProfile(tenant *entratest.Tenant, client *http.Client) (http.Handler, error) {
	cloud, err := entra.DevCloud(tenant.URL)
	if err != nil {
		return nil, err
	}
	return samples.Profile(samples.ProfileConfig{
		Cloud: cloud, Tenant: tenant.TenantID, ClientID: entratest.ProfileID, Credential: entra.Secret(entratest.ProfileSecret),
		Callers: []string{entratest.GenkanID}, Search: tenant.URL, Index: "handbook", HTTP: client,
	})
}

// devText is the configuration of `genkan dev`, as a user would write it for a real tenant.
const devText = `
public_url: ${PUBLIC}
data: ${DATA}
entra:
  tenant: ${TENANT}
  client_id: ${CLIENT}
  authority: ${AUTHORITY}
  credential: {secret: "${SECRET}"}
servers:
  weather:
    title: Weather
    description: Forecasts for a few cities.
    url: ${WEATHER}
    credential: identity
    rules:
      - {name: readers, allow: [list_cities, get_forecast], roles: [Weather.Read]}
      - {name: writers, allow: [set_alert], roles: [Weather.Write]}
  profile:
    title: Profile
    description: Who you are to Entra, your directory entry, and the company handbook.
    url: ${PROFILE}
    credential: {on_behalf_of: ["${PROFILE_API}/access_as_user"]}
    rules:
      - {name: everybody, allow: ["*"], people: ["*"]}
console: {admin_role: Genkan.Admin}
log: {format: text}
`

func devConfig(b *behind, public, data string) (*config.Config, error) {
	values := map[string]string{
		"PUBLIC": public, "DATA": data, "TENANT": b.tenant.TenantID, "AUTHORITY": b.tenant.URL,
		"CLIENT": entratest.GenkanID, "SECRET": entratest.GenkanSecret, "WEATHER": b.weather, "PROFILE": b.profile,
		"PROFILE_API": entratest.ProfileURI,
	}
	return config.Load("genkan dev", []byte(devText), func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	})
}

func onLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is no address to listen on: write host:port, such as 127.0.0.1:8080", address)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not on loopback: genkan dev lets anybody in as anybody, so it listens on 127.0.0.1 only; use genkan serve for others", address)
	}
	return nil
}

// publicURL is how a browser reaches a loopback listener.
func publicURL(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://localhost:" + port
}
