package entra_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/genkan-mcp/genkan/entra"
)

func TestCloudsKnowTheirAddresses(t *testing.T) {
	dev, err := entra.DevCloud("http://LOCALHOST:8081/")
	if err != nil {
		t.Fatal(err)
	}
	const tenant = testTenant
	for name, c := range map[string]struct {
		cloud entra.Cloud
		want  []string
	}{
		"zero is public": {entra.Cloud{}, []string{"https://login.microsoftonline.com", "https://sts.windows.net/" + tenant + "/",
			"https://login.microsoftonline.com/" + tenant + "/v2.0", "https://graph.microsoft.com/v1.0", "https://graph.microsoft.com/User.Read"}},
		"US government": {entra.USGovernment(), []string{"https://login.microsoftonline.us", "https://sts.windows.net/" + tenant + "/",
			"https://login.microsoftonline.us/" + tenant + "/v2.0", "https://graph.microsoft.us/v1.0", "https://graph.microsoft.us/User.Read"}},
		"China": {entra.China(), []string{"https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn/" + tenant + "/",
			"https://login.partner.microsoftonline.cn/" + tenant + "/v2.0", "https://microsoftgraph.chinacloudapi.cn/v1.0", "https://microsoftgraph.chinacloudapi.cn/User.Read"}},
		"dev": {dev, []string{"http://localhost:8081", "https://sts.windows.net/" + tenant + "/",
			"http://localhost:8081/" + tenant + "/v2.0", "http://localhost:8081/v1.0", "https://graph.microsoft.com/User.Read"}},
	} {
		got := []string{c.cloud.Authority(), c.cloud.IssuerV1(tenant), c.cloud.IssuerV2(tenant), c.cloud.Graph(), c.cloud.GraphScope("User.Read")}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	want := "https://login.microsoftonline.com/" + tenant + "/v2.0/adminconsent?client_id=" + testClient + "&scope=.default"
	if got := (entra.Cloud{}).AdminConsentURL(tenant, testClient); got != want {
		t.Errorf("admin consent: want %s, got %s", want, got)
	}
}

func TestPlainHTTPIsForLoopbackOnly(t *testing.T) {
	for base, ok := range map[string]bool{
		"http://localhost:8081": true, "http://127.0.0.1:1": true, "http://127.9.9.9": true, "http://[::1]:8081": true, "https://entra.example": true,
		"http://entra.example": false, "http://localhost.evil.example": false, "http://192.168.0.1": false, "http://0.0.0.0:80": false,
		"http://169.254.169.254": false, "ftp://localhost": false, "localhost:8081": false, "": false, "http://": false, "://": false,
		"http://localhost/path": false, "http://me@localhost": false, "http://localhost?x": false, "http://localhost#x": false,
		"https://token.example": false, "http://a.localhost": false,
	} {
		if _, err := entra.DevCloud(base); (err == nil) != ok {
			t.Errorf("%q: want accepted %v, got %v", base, ok, err)
		}
	}
}
