package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"galaxygate/internal/audit"
	"galaxygate/internal/secret"
	"galaxygate/internal/telemetry"
)

func TestLogMasksSecrets(t *testing.T) {
	t.Parallel()
	token := secret.Random().Reveal()
	const jwt = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
	tests := []struct {
		name string
		attr slog.Attr
		want string // empty: unchanged
	}{
		{name: "a session token", attr: slog.String("value", token), want: "***"},
		{name: "a session token within words", attr: slog.String("value", "got <"+token+"> there"), want: "got <***> there"},
		{name: "a JSON Web Token", attr: slog.String("value", "token "+jwt+" expired"), want: "token *** expired"},
		{name: "a bearer credential", attr: slog.String("value", "Authorization: bearer abc.def"), want: "Authorization: ***"},
		{name: "a cookie", attr: slog.String("value", "galaxygate=short; a=b"), want: "***; a=b"},
		{name: "a code in a URL", attr: slog.String("value", "https://gate.example/auth/callback?code=abc&x=1"), want: "https://gate.example/auth/callback?***&x=1"},
		{name: "a password in a URL", attr: slog.String("value", "postgres://alice:hunter2@db/x"), want: "postgres://***@db/x"},
		{name: "the port of a URL", attr: slog.String("value", "http://localhost:8080/x"), want: "http://localhost:8080/x"},
		{name: "an error that quotes a token", attr: slog.Any("error", fmt.Errorf("call: %w", errors.New("bad token "+token))), want: "call: bad token ***"},
		{name: "an attribute named like a secret", attr: slog.String("refresh_token", "short"), want: "***"},
		{name: "an attribute within a group", attr: slog.Group("group", "client_secret", "short"), want: "***"},
		{name: "a secret.Text", attr: slog.Any("value", secret.New("short")), want: "***"},

		{name: "an identity URN", attr: slog.String("value", "urn:rollupid:identity/0x5f3cbe21aa5f3cbe21aa5f3cbe21aa5f3cbe21aa5f3cbe21aa5f3cbe21aa5f3c")},
		{name: "a checksummed address", attr: slog.String("value", "0x52908400098527886E0F7030069857D2E4169EE7")},
		{name: "an ID of ours", attr: slog.String("grant_id", "JBSWY3DPEHPK3PXPJBSWY3DPEH")},
		{name: "a UUID", attr: slog.String("value", "3f2504e0-4f89-11d3-9a0c-0305e82c3301")},
		{name: "a path", attr: slog.String("path", "/.well-known/oauth-authorization-server")},
		{name: "an asset's path", attr: slog.String("path", "/-/playground/35f4f974f4b2bcd4/react-dom.production.min.js")},
		{name: "a sentence", attr: slog.String("value", "select session: connection refused (127.0.0.1:5432)")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			telemetry.NewLogger(&out, slog.LevelInfo, telemetry.JSON).LogAttrs(t.Context(), slog.LevelInfo, "message", tt.attr)
			if got, want := valueOf(t, out.Bytes(), tt.attr), tt.want; want != "" && got != want {
				t.Errorf("got %q, want %q", got, want)
			} else if want == "" && got != tt.attr.Value.String() {
				t.Errorf("got %q, want %q", got, tt.attr.Value.String())
			}
		})
	}
}

// valueOf returns the text of the attribute in the record, of the one attribute
// within it where it is a group.
func valueOf(t *testing.T, record []byte, attr slog.Attr) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(record, &members); err != nil {
		t.Fatalf("record %s: %v", record, err)
	}
	if attr.Value.Kind() == slog.KindGroup {
		members, _ = members[attr.Key].(map[string]any)
		attr = attr.Value.Group()[0]
	}
	text, _ := members[attr.Key].(string)
	return text
}

func TestLogNamesTheRequest(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := telemetry.NewLogger(&out, slog.LevelInfo, telemetry.Text).With("room", "test")
	ctx := audit.WithActor(t.Context(), audit.Actor{RequestID: "request-1", IPAddress: "192.0.2.1"})
	logger.InfoContext(ctx, "told")
	logger.DebugContext(ctx, "too quiet")
	if got, want := out.String(), "msg=told room=test request_id=request-1\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end in %q", got, want)
	}
	out.Reset()
	logger.InfoContext(t.Context(), "told")
	if got := out.String(); strings.Contains(got, "_id") {
		t.Errorf("a record of no request: got %q", got)
	}
}

func TestLogFormat(t *testing.T) {
	t.Parallel()
	for format, want := range map[telemetry.Format]string{telemetry.Text: "time=", telemetry.JSON: "{", telemetry.Auto: "{"} {
		var out bytes.Buffer
		telemetry.NewLogger(&out, slog.LevelInfo, format).InfoContext(t.Context(), "message")
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s: got %q, want it to start with %q", format, out.String(), want)
		}
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	metrics := telemetry.NewMetrics()
	metrics.ObserveRequest("/graphql", http.StatusOK, time.Millisecond)
	metrics.ObserveRequest("", http.StatusNotFound, time.Millisecond)
	metrics.Refreshed("refreshed", time.Second)
	metrics.Refreshed("made up", time.Second)
	metrics.Waited(time.Second)
	metrics.Contended()
	metrics.Reauthenticate("invalid_grant")
	metrics.Reauthenticate("made up by a provider")
	metrics.KeptAlive("kept")
	metrics.Revoked("later")
	metrics.Tidied("sessions", 7)
	metrics.ObserveSessionCache(true)
	metrics.ObserveGrantCache(false)
	metrics.Asked("galaxy", "rate_limited", time.Second)
	metrics.Refused("galaxy", "budget")
	metrics.Broken("userinfo", true)
	metrics.AwaitedTurn(time.Second)
	metrics.Answered("memory", 3)
	metrics.RedisAway(true)
	metrics.Gauge("galaxygate_answers_bytes", "Bytes.", func() float64 { return 17 })
	counts := 0
	metrics.Count("galaxygate_grants", "Grants.", "status", func(context.Context) (map[string]int, error) {
		counts++
		return map[string]int{"active": 3}, nil
	})
	metrics.Count("galaxygate_unknown", "Unknown.", "status", func(context.Context) (map[string]int, error) {
		return nil, errors.New("away")
	})
	metrics.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))

	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`galaxygate_http_request_duration_seconds_count{route="/graphql",status="2xx"} 1`,
		`galaxygate_http_request_duration_seconds_count{route="unmatched",status="4xx"} 1`,
		`galaxygate_refresh_duration_seconds_count{outcome="refreshed"} 1`,
		`galaxygate_refresh_duration_seconds_count{outcome="other"} 1`,
		`galaxygate_refresh_duration_seconds_count{outcome="later"} 0`,
		"galaxygate_refresh_wait_duration_seconds_count 1",
		"galaxygate_lease_contended_total 1",
		`galaxygate_reauthentications_total{reason="invalid_grant"} 1`,
		`galaxygate_reauthentications_total{reason="other"} 1`,
		`galaxygate_reauthentications_total{reason="subject_mismatch"} 0`,
		`galaxygate_cache_lookups_total{cache="sessions",result="hit"} 1`,
		`galaxygate_cache_lookups_total{cache="grants",result="miss"} 1`,
		`galaxygate_kept_alive_total{outcome="kept"} 1`,
		`galaxygate_revocations_total{outcome="later"} 1`,
		`galaxygate_tidied_rows_total{what="sessions"} 7`,
		`galaxygate_grants{status="active"} 3`,
		`galaxygate_upstream_request_duration_seconds_count{outcome="rate_limited",upstream="galaxy"} 1`,
		`galaxygate_upstream_request_duration_seconds_count{outcome="answered",upstream="userinfo"} 0`,
		`galaxygate_upstream_refused_total{reason="budget",upstream="galaxy"} 1`,
		`galaxygate_upstream_refused_total{reason="busy",upstream="userinfo"} 0`,
		`galaxygate_upstream_broken{upstream="galaxy"} 0`,
		`galaxygate_upstream_broken{upstream="userinfo"} 1`,
		"galaxygate_budget_wait_duration_seconds_count 1",
		`galaxygate_upstream_answers_total{from="memory"} 3`,
		`galaxygate_upstream_answers_total{from="stale"} 0`,
		"galaxygate_redis_away 1",
		"galaxygate_answers_bytes 17",
		"go_goroutines ",
		"process_start_time_seconds ",
	} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %q", want)
		}
	}
	if strings.Contains(w.Body.String(), `reason="userinfo_subject"`) {
		t.Error("metrics have a reason that is none")
	}
	if counts != 1 || strings.Contains(w.Body.String(), "galaxygate_unknown{") {
		t.Errorf("counted %d times for two requests", counts)
	}
}
