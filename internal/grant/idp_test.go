//go:build !race

package grant_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"galaxygate/internal/grant"
	"galaxygate/internal/secret"
)

// idp is a simulated provider. One that rotates takes a refresh token that was
// spent for stolen, and ends its family (RFC 9700, section 4.14.2).
type idp struct {
	s       *simulation
	rotates bool
	life    time.Duration // of access tokens

	mu        sync.Mutex
	minted    map[string]minted // every token
	presented []*presentation
	reply     reply
	signIns   int
}

// minted is what the provider knows of a token.
type minted struct {
	family *family
	number int       // tokens are counted
	ends   time.Time // of an access token
}

// family is the tokens that descend from one sign-in.
type family struct {
	current secret.Text // the refresh token that may be presented
	over    string      // why none may be
}

// reply is how the provider treats presentations.
type reply struct {
	kind           kind
	travel, answer time.Duration // until it has the token, and until its answer is there
}

type kind string

const (
	works    kind = "works"
	unsent   kind = "unsent"   // no request can be made
	away     kind = "away"     // 503
	limits   kind = "limits"   // 429
	mistakes kind = "mistakes" // refuses the gateway's own credentials
	forgets  kind = "forgets"  // has lost the family
	hangs    kind = "hangs"    // acts, and never answers
	resets   kind = "resets"   // acts, and cuts the connection
)

// presentation is one of a refresh token by a replica.
type presentation struct {
	node    *node
	lease   *lease
	token   secret.Text
	signIns int  // how often the user had signed in
	ended   bool // the replica has heard how it went
	failure *grant.Failure
}

type result struct {
	tokens  grant.Tokens
	failure *grant.Failure
}

// treats sets how presentations are treated from now on.
func (p *idp) treats(r reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = r
}

func (p *idp) nextReply() reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.reply
}

// began writes down a presentation, and checks it against those before.
func (p *idp) began(now *presentation) *presentation {
	p.mu.Lock()
	defer p.mu.Unlock()
	now.signIns = p.signIns
	for _, earlier := range p.presented {
		if !earlier.token.Equal(now.token) {
			continue
		}
		if !earlier.ended && earlier.lease != nil && time.Now().Before(earlier.lease.ends) {
			p.s.violated("%s presents what %s is presenting", now.node.name, earlier.node.name)
		}
		if p.rotates && earlier.signIns == now.signIns && !earlier.ambiguous() {
			p.s.violated("%s presents what %s has spent", now.node.name, earlier.node.name)
		}
	}
	p.presented = append(p.presented, now)
	return now
}

// ambiguous reports whether whoever presented the token was told neither that it
// is spent nor that it is refused, and so is to present it again.
func (e *presentation) ambiguous() bool {
	return e.ended && e.failure != nil && e.failure.Kind != grant.SignInAgain
}

func (p *idp) ended(e *presentation, r result) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e.ended, e.failure = true, r.failure
}

// receive treats a presentation, whether or not anyone waits for the answer.
func (p *idp) receive(token secret.Text, r reply, answered chan<- result) {
	<-time.After(r.travel)
	answer := p.act(token, r.kind)
	<-time.After(r.answer)
	if r.kind != hangs {
		answered <- answer
	}
}

func (p *idp) act(token secret.Text, k kind) result {
	p.mu.Lock()
	defer p.mu.Unlock()
	failed := func(k grant.Kind, reason string, status int) result {
		return result{failure: &grant.Failure{Kind: k, Reason: reason, Status: status}}
	}
	f := p.minted[token.Reveal()].family
	switch k {
	case away:
		return failed(grant.Later, "http_503", http.StatusServiceUnavailable)
	case limits:
		r := failed(grant.Later, "rate_limited", http.StatusTooManyRequests)
		r.failure.RetryAfter = 40 * time.Second
		return r
	case mistakes:
		return failed(grant.OperatorFault, "invalid_client", http.StatusUnauthorized)
	case forgets:
		f.end("forgotten")
		p.s.excuse("a provider that forgot the grant")
	case resets, hangs:
		p.s.excuse("an answer that was lost")
	case works, unsent:
	}
	if f.over == "" && p.rotates && !f.current.Equal(token) {
		f.end("reuse")
	}
	if f.over != "" {
		p.s.note("the provider refuses %q: %s", token.Reveal(), f.over)
		return failed(grant.SignInAgain, "invalid_grant", http.StatusBadRequest)
	}
	tokens := p.mint(f, p.rotates)
	if k == resets {
		return failed(grant.Later, "connection_reset", 0)
	}
	return result{tokens: tokens}
}

func (f *family) end(why string) {
	if f.over == "" {
		f.over = why
	}
}

// mint makes an access token, and where it is to be another refresh token.
func (p *idp) mint(f *family, refresh bool) grant.Tokens {
	number := len(p.minted) + 1
	t := grant.Tokens{
		Access:          secret.New(fmt.Sprintf("access-%d", number)),
		AccessExpiresAt: time.Now().Add(p.life),
	}
	p.minted[t.Access.Reveal()] = minted{f, number, t.AccessExpiresAt}
	if refresh {
		t.Refresh = secret.New(fmt.Sprintf("refresh-%d", number))
		f.current = t.Refresh
		p.minted[t.Refresh.Reveal()] = minted{family: f, number: number}
	}
	return t
}

// older reports whether token a is older than b.
func (p *idp) older(a, b secret.Text) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.minted[a.Reveal()].number < p.minted[b.Reveal()].number
}

// signInKind is what a sign-in brings for a refresh token.
type signInKind string

const (
	another signInKind = "another"
	none    signInKind = "none"
	same    signInKind = "the same"
)

// signIn returns the tokens of a new sign-in. One that brings no refresh token, or
// the stored one once more, goes on with that one's family.
func (p *idp) signIn(k signInKind, stored secret.Text) grant.Tokens {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signIns++
	f := p.minted[stored.Reveal()].family
	if k == another || f == nil {
		f = &family{}
	}
	t := p.mint(f, k == another)
	if k == same {
		t.Refresh = stored
	}
	return t
}

// accepts reports whether a resource of the provider's takes the access token.
func (p *idp) accepts(access secret.Text) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	token := p.minted[access.Reveal()]
	return token.family != nil && token.family.over == "" && time.Now().Before(token.ends)
}

// Revoke implements grant.Revoker: with a token goes its family, as RFC 7009,
// section 2.1, allows.
func (p *idp) Revoke(_ context.Context, access, refresh secret.Text) (bool, error) {
	current := p.s.stored()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, token := range []secret.Text{access, refresh} {
		f := p.minted[token.Reveal()].family
		if f == nil || f.over != "" {
			continue
		}
		f.end("revoked")
		if current.Status == grant.Active && p.minted[current.Refresh.Reveal()].family == f {
			p.s.violated("the stored refresh token was revoked with %q", token.Reveal())
		}
	}
	return true, nil
}
