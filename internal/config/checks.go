package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	"galaxygate/internal/redirect"
	"galaxygate/internal/scope"
	"galaxygate/internal/secret"
)

func address(s string) error {
	if _, _, err := net.SplitHostPort(s); err != nil {
		return errors.New("must be host:port or :port")
	}
	return nil
}

// fileName wants the name of a file, and not what one holds.
func fileName(s string) error {
	if strings.ContainsAny(s, "{\n") {
		return errors.New("must be the name of a file")
	}
	return nil
}

// secureURL wants an https URL, or http on a loopback address.
func secureURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("must be an absolute URL without user, query and fragment")
	case u.Scheme == "https", u.Scheme == "http" && redirect.IsLoopback(u.Hostname()):
		return nil
	default:
		return errors.New("must be an https URL (http is for loopback addresses alone)")
	}
}

// origin wants a secureURL without a path. The scheme's own port is left out, as browsers
// do, and clients that compare issuers.
func origin(s string) (*url.URL, error) {
	if err := secureURL(s); err != nil {
		return nil, err
	}
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(s, "/")))
	if err != nil || u.Path != "" {
		return nil, errors.New("must be scheme and host alone, without a path")
	}
	if port := u.Port(); port == "" || u.Scheme+port == "https443" || u.Scheme+port == "http80" {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return u, nil
}

// browserOrigin wants an origin as browsers write it (RFC 6454, section 6.2).
func browserOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != s || strings.ToLower(s) != s {
		return "", errors.New("not an origin")
	}
	return s, nil
}

// clientID wants an OAuth client's ID (RFC 6749, appendix A.1), without spaces.
func clientID(s string) (string, error) {
	if strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", errors.New("not a client ID")
	}
	return s, nil
}

func database(s string, to *secret.Text) error {
	*to = secret.New(s)
	for _, scheme := range []string{"postgres://", "postgresql://", "sqlite://"} {
		if rest, ok := strings.CutPrefix(s, scheme); ok && rest != "" {
			return nil
		}
	}
	return errors.New("must begin with postgres:// or sqlite://")
}

// redacted is a database's URL without its password. What cannot be parsed is
// masked whole.
func redacted(t secret.Text) string {
	u, err := url.Parse(t.Reveal())
	if err != nil {
		return t.String()
	}
	query := u.Query()
	if query.Has("password") {
		query.Set("password", "***")
		u.RawQuery = query.Encode()
	}
	if _, ok := u.User.Password(); !ok {
		return u.String()
	}
	return strings.Replace(u.Redacted(), ":xxxxx@", ":***@", 1)
}

func redirects(s string, to *redirect.Rules) error {
	rules, err := redirect.Parse(split(s))
	if err != nil {
		return errors.New(withoutUser(strings.ReplaceAll(err.Error(), "\n", "; ")))
	}
	*to = rules
	return nil
}

// userinfo matches the user and password of a URL, and what leads to them.
var userinfo = regexp.MustCompile(`//[^/\s"]*@`)

// withoutUser masks the passwords of URLs that should have none.
func withoutUser(text string) string { return userinfo.ReplaceAllString(text, "//***@") }

func scopes(s string, to *[]string) error {
	fields := strings.Fields(strings.ReplaceAll(s, ",", " "))
	hasOpenID := false
	for _, one := range fields {
		if !scope.Valid(one) {
			return fmt.Errorf("%q: is not a scope (RFC 6749, section 3.3)", one)
		}
		hasOpenID = hasOpenID || one == "openid"
	}
	if !hasOpenID {
		fields = append([]string{"openid"}, fields...)
	}
	*to = fields
	return nil
}
