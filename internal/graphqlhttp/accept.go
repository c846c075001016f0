package graphqlhttp

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of GraphQL over HTTP.
const (
	mediaJSON    = "application/json"
	mediaGraphQL = "application/graphql-response+json"
)

func contentType(media string) string { return media + "; charset=utf-8" }

// negotiate returns the media type, of those on offer, in which the caller wants
// the response (RFC 9110, section 12.5.1), and whether there is one. The higher
// weight wins, then the more specific range, then the range named first, then the
// earlier offer. Without an Accept header it is the first offer.
func negotiate(r *http.Request, offers ...string) (media string, ok bool) {
	header := strings.Join(r.Header.Values("Accept"), ",")
	if strings.TrimSpace(header) == "" {
		return offers[0], true
	}
	ranges := parseAccept(header)
	var best mediaRange
	for _, offer := range offers {
		if found := bestRange(ranges, offer); media == "" || found.preferredTo(best) {
			media, best = offer, found
		}
	}
	return media, best.weight > 0
}

// mediaRange is one element of an Accept header, or none where it is zero.
type mediaRange struct {
	media    string
	weight   float64
	position int // in the order of the header
}

func (m mediaRange) specificity() int {
	switch {
	case m.media == "*/*":
		return 1
	case strings.HasSuffix(m.media, "/*"):
		return 2
	default:
		return 3
	}
}

// preferredTo reports whether m ranks before o, for another media type.
func (m mediaRange) preferredTo(o mediaRange) bool {
	if m.weight != o.weight {
		return m.weight > o.weight
	}
	if m.specificity() != o.specificity() {
		return m.specificity() > o.specificity()
	}
	return m.position < o.position
}

// bestRange returns the most specific range that covers the media type, which
// is the one whose weight counts.
func bestRange(ranges []mediaRange, media string) mediaRange {
	kind, _, _ := strings.Cut(media, "/")
	var best mediaRange
	for i, m := range ranges {
		if m.media != media && m.media != "*/*" && m.media != kind+"/*" {
			continue
		}
		if best.media == "" || m.specificity() > best.specificity() {
			best = m
			best.position = i
		}
	}
	return best
}

// parseAccept reads the elements of an Accept header. A comma may be quoted.
func parseAccept(header string) []mediaRange {
	var ranges []mediaRange
	quoted, escaped := false, false
	elements := strings.FieldsFuncSeq(header, func(c rune) bool {
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		}
		return c == ',' && !quoted
	})
	for text := range elements {
		if parsed, ok := parseRange(text); ok {
			ranges = append(ranges, parsed)
		}
	}
	return ranges
}

// parseRange reads one element of an Accept header. What cannot be read, and
// what asks for a charset but UTF-8, counts as absent.
func parseRange(text string) (mediaRange, bool) {
	media, params, err := mime.ParseMediaType(text)
	if err != nil || !isUTF8(params) {
		return mediaRange{}, false
	}
	weight := 1.0
	if q, given := params["q"]; given {
		// ".2" is not to the letter, but old clients of Java's send it.
		weight, err = strconv.ParseFloat(q, 64)
		if err != nil || strings.Trim(q, "0123456789.") != "" || weight > 1 {
			return mediaRange{}, false
		}
	}
	return mediaRange{media: media, weight: weight}, true
}

// isUTF8 reports whether the parameters of a media type leave UTF-8 as the
// charset.
func isUTF8(params map[string]string) bool {
	charset, given := params["charset"]
	return !given || strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "utf8")
}
