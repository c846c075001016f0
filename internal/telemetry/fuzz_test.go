package telemetry

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
)

// FuzzTraceparent holds what is taken for a trace's parent against the form that W3C
// Trace Context gives it (section 3.2).
func FuzzTraceparent(f *testing.F) {
	const ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
	for _, value := range []string{
		"", "00-" + ids + "-01", "00-" + ids + "-00", "cc-" + ids + "-01-what", "ff-" + ids + "-01", "00-" + ids + "-01-", "00-" + ids + "-1",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01", "00-" + strings.ToUpper(ids) + "-01", "00_" + ids + "_01", " 00-" + ids + "-01",
	} {
		f.Add(value, "a=1")
	}
	form := regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)
	f.Fuzz(func(t *testing.T, value, state string) {
		parent := parentOf(&http.Request{Header: http.Header{"Traceparent": {value}, "Tracestate": {state}, "Baggage": {state}}})
		parts := form.FindStringSubmatch(value)
		if !parent.IsValid() {
			if parts != nil && parts[1] == "00" && parts[4] == "" && strings.Trim(parts[2], "0") != "" && strings.Trim(parts[3], "0") != "" &&
				(strings.HasSuffix(value, "-00") || strings.HasSuffix(value, "-01")) {
				t.Errorf("%q is valid, and not taken", value)
			}
			return
		}
		if parts == nil || parts[1] == "ff" || parts[1] == "00" && parts[4] != "" {
			t.Fatalf("%q is not valid, and taken", value)
		}
		if parent.TraceID().String() != parts[2] || parent.SpanID().String() != parts[3] || parent.TraceState().Len() != 0 || !parent.IsRemote() {
			t.Errorf("%q: got %+v", value, parent)
		}
		if two := parentOf(&http.Request{Header: http.Header{"Traceparent": {value, value}}}); two.IsValid() {
			t.Error("two are taken")
		}
	})
}
