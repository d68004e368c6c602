package app_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// The dashboard and the alert rules name metrics that are there, and signing in and calling is counted.
func TestDashboardAndAlertsNameMetricsThatExist(t *testing.T) {
	h := openHouse(t)
	client := h.register()
	issued := h.signIn(client, "weather", "alice@contoso.example")
	if got := h.mcp("/weather/mcp", issued.Access, initialize); got.Status != http.StatusOK {
		t.Fatal(got.Status)
	}
	recorder := httptest.NewRecorder()
	h.App.Metrics().ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	scraped := recorder.Body.String()
	for _, want := range []string{
		`genkan_sign_ins_total{outcome="ok"} 1`,
		`genkan_tokens_total{grant="authorization_code",outcome="ok"} 1`,
		`genkan_requests_total{decision="allowed",method="initialize",server="weather",status="2xx"} 1`,
	} {
		if !strings.Contains(scraped, want) {
			t.Errorf("the metrics lack %s:\n%s", want, regexp.MustCompile(`(?m)^genkan_.*$`).FindAllString(scraped, -1))
		}
	}

	source, err := os.ReadFile("../telemetry/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"dashboard.json", "alerts.yaml"} {
		text, err := os.ReadFile("../../deploy/observability/" + file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`genkan_([a-z_]+)`).FindAllStringSubmatch(string(text), -1)
		if len(names) < 5 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
		for _, name := range names {
			short := strings.TrimSuffix(name[1], "_bucket")
			if !strings.Contains(string(source), `"`+short+`"`) {
				t.Errorf("%s names genkan_%s, which there is not", file, name[1])
			}
		}
	}
}
