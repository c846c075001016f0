package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// ErrRefused means that no rule allows the address.
var ErrRefused = errors.New("address is not allowed")

// Rules says which addresses are allowed. The zero Rules allows none.
type Rules struct{ rules []rule }

type rule struct {
	text    string
	url     *url.URL
	prefix  bool // the path ends in /*
	anyPort bool // a loopback address without a port (RFC 8252, section 7.3)
}

// Parse reads one rule for each text: an exact URL, scheme://host/path/* for
// whatever lies below a path, a native app's private-use scheme (RFC 8252,
// section 7.1), or a loopback http://127.0.0.1/path, which allows any port. It
// returns the error of every text that is no rule.
func Parse(texts []string) (Rules, error) {
	var rules Rules
	var errs []error
	for _, text := range texts {
		r, err := parseRule(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%q: %w", text, err))
			continue
		}
		rules.rules = append(rules.rules, r)
	}
	return rules, errors.Join(errs...)
}

func parseRule(text string) (rule, error) {
	path, prefix := strings.CutSuffix(text, "/*")
	if prefix {
		path += "/"
	}
	u, err := parse(path)
	switch {
	case err != nil:
		return rule{}, err
	case u.Fragment != "" || strings.Contains(text, "#"):
		return rule{}, errors.New("a fragment cannot be allowed")
	case strings.Contains(path, "*"):
		return rule{}, errors.New("* is only allowed at the end, as /*")
	case prefix && (u.RawQuery != "" || u.Host == ""):
		return rule{}, errors.New("/* needs a host and no query")
	case prefix && dotted(u):
		return rule{}, errors.New("dot segments cannot be allowed")
	case u.Scheme == "http" && !IsLoopback(u.Hostname()):
		return rule{}, errors.New("http is only allowed on loopback addresses")
	case u.Scheme == "https" && u.Host == "":
		return rule{}, errors.New("the host is missing")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	anyPort := err == nil && addr.IsLoopback() && u.Scheme == "http" && u.Port() == ""
	return rule{text: text, url: u, prefix: prefix, anyPort: anyPort}, nil
}

// Texts returns the rules as they were written.
func (r Rules) Texts() []string {
	texts := make([]string, 0, len(r.rules))
	for _, one := range r.rules {
		texts = append(texts, one.text)
	}
	return texts
}

// Resolve returns the absolute form of target, which is either a path of the
// base or an absolute URL on the base's origin or allowed by a rule. It returns
// ErrRefused for anything else.
func (r Rules) Resolve(base *url.URL, target string) (string, error) {
	if strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") {
		target = base.Scheme + "://" + base.Host + target
	}
	u, err := parse(target)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if u.Scheme == base.Scheme && u.Host == base.Host {
		return u.String(), nil
	}
	for _, one := range r.rules {
		if one.allows(u) {
			return u.String(), nil
		}
	}
	return "", ErrRefused
}

// AllowsExactly reports whether a rule is the address itself, character for character,
// as a native app's must be (RFC 9700, section 4.1.3). Only a loopback address may have
// a port where the rule has none (RFC 8252, section 7.3). What /* allows counts for
// nothing here.
func (r Rules) AllowsExactly(target string) bool {
	if _, err := parse(target); err != nil {
		return false
	}
	return slices.ContainsFunc(r.rules, func(one rule) bool {
		return !one.prefix && (target == one.text || one.anyPort && withoutPort(target, one.url.Host) == one.text)
	})
}

// withoutPort returns the http address of that host without its port, or nothing where
// it is another host's or has none.
func withoutPort(target, host string) string {
	rest, ok := strings.CutPrefix(target, "http://"+host+":")
	path := strings.TrimLeft(rest, "0123456789")
	port, err := strconv.ParseUint(rest[:len(rest)-len(path)], 10, 16)
	if !ok || err != nil || port == 0 {
		return ""
	}
	return "http://" + host + path
}

func (r rule) allows(u *url.URL) bool {
	host := u.Host == r.url.Host
	if r.anyPort {
		host = u.Hostname() == r.url.Hostname()
	}
	if u.Scheme != r.url.Scheme || !host || u.Opaque != r.url.Opaque {
		return false
	}
	if r.prefix {
		return strings.HasPrefix(u.EscapedPath(), r.url.EscapedPath()) && !dotted(u)
	}
	return u.EscapedPath() == r.url.EscapedPath() && u.RawQuery == r.url.RawQuery && u.Fragment == ""
}

// parse reads an absolute URL and refuses what browsers and url.Parse read
// differently: backslashes, control characters, spaces, and user names.
func parse(text string) (*url.URL, error) {
	for _, r := range text {
		if r <= ' ' || r == '\\' || r == 0x7f {
			return nil, errors.New("it holds a character that has no place in a URL")
		}
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, errors.New("it is not a URL")
	case u.Scheme == "":
		return nil, errors.New("the scheme is missing")
	case u.User != nil:
		return nil, errors.New("it holds a user name")
	case u.Host == "" && (u.Scheme == "http" || u.Scheme == "https"):
		return nil, errors.New("the host is missing")
	}
	u.Host = strings.ToLower(u.Host) // as browsers do
	switch u.Scheme {
	case "javascript", "data", "vbscript", "blob", "file", "about":
		return nil, errors.New("its scheme runs code or reads files")
	}
	return u, nil
}

// dotted reports whether the path has a segment "." or "..", plain or encoded
// once or more often, or an encoded separator.
func dotted(u *url.URL) bool {
	path := u.EscapedPath()
	for range 3 {
		for segment := range strings.SplitSeq(path, "/") {
			if segment == "." || segment == ".." {
				return true
			}
		}
		lower := strings.ToLower(path)
		if strings.Contains(lower, "%2f") || strings.Contains(lower, "%5c") {
			return true
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			return true
		}
		path = decoded
	}
	return strings.Contains(path, "%") // encoded more often than anything honest
}

// IsLoopback reports whether the host is localhost or a loopback address.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
