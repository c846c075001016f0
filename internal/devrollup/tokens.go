package devrollup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// authorization is one sign-in: a family of refresh tokens.
type authorization struct {
	person string
	scopes []string
	dead   bool // nothing can be refreshed any more
}

type refreshToken struct {
	of   *authorization
	used bool // only where refresh tokens rotate
}

var errBadToken = errors.New("bad token")

func encodeBytes(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign returns the claims as a JWT with the headers that Passport writes, and
// records it as issued.
func (s *Server) sign(claims map[string]any, key *ecdsa.PrivateKey) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: s.keyID}},
		(&jose.SignerOptions{}).WithHeader("jku", s.config.Issuer+"/.well-known/jwks.json"),
	)
	if err != nil {
		return "", fmt.Errorf("make signer: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	s.recordIssued(token)
	return token, nil
}

// issueAccess issues an access token, which alone says its expiry and scopes.
func (s *Server) issueAccess(of *authorization) (string, error) {
	now, id := s.now(), randomText(16)
	token, err := s.sign(map[string]any{
		"iss": s.config.Issuer, "sub": s.directory.identity(of.person), "aud": []string{s.config.ClientID},
		"iat": now.Unix(), "exp": now.Add(s.Switches().AccessTokenLife.or(time.Hour)).Unix(),
		"jti": id, "scope": strings.Join(of.scopes, " "),
	}, s.key)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access[id] = of
	return token, nil
}

// issueRefresh issues a refresh token. It says nothing of its end.
func (s *Server) issueRefresh(of *authorization) (string, error) {
	id := randomText(16)
	token, err := s.sign(map[string]any{
		"iss": s.config.Issuer, "sub": s.directory.identity(of.person), "aud": []string{s.config.ClientID},
		"iat": s.now().Unix(), "jti": id,
	}, s.key)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refresh[id] = &refreshToken{of: of}
	return token, nil
}

// keep makes the authorization the person's latest, and drops the oldest of
// theirs beyond the number that is kept.
func (s *Server) keep(latest *authorization) {
	kept := s.Switches().KeptRefreshTokens
	if kept <= 0 {
		kept = 10
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = append(s.order, latest)
	for i := len(s.order) - 1; i >= 0; i-- {
		a := s.order[i]
		if s.directory.identity(a.person) != s.directory.identity(latest.person) || a.dead {
			continue
		}
		if kept--; kept < 0 {
			a.dead = true
		}
	}
	s.order = slices.DeleteFunc(s.order, func(a *authorization) bool { return a.dead })
}

// issueID issues an ID token, with the lie that the switches ask for.
func (s *Server) issueID(c code, claims map[string]any) (string, error) {
	now, switches, key := s.now(), s.Switches(), s.key
	claims["iss"], claims["aud"] = s.config.Issuer, []string{s.config.ClientID}
	claims["iat"], claims["exp"] = now.Unix(), now.Add(time.Hour).Unix()
	if switches.EchoNonce && c.nonce != "" {
		claims["nonce"] = c.nonce
	}
	switch switches.Forgery {
	case ForgedIssuer:
		claims["iss"] = "https://issuer.example"
	case ForgedAudience:
		claims["aud"] = []string{"someone-else"}
	case ForgedExpiry:
		claims["iat"], claims["exp"] = now.Add(-2*time.Hour).Unix(), now.Add(-time.Hour).Unix()
	case ForgedNonce:
		claims["nonce"] = randomText(16)
	case ForgedSignature:
		var err error
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return "", fmt.Errorf("generate foreign key: %w", err)
		}
	}
	return s.sign(claims, key)
}

// parse checks the signature and the end of one of Passport's own tokens and
// returns its "jti".
func (s *Server) parse(token string) (string, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return "", errBadToken
	}
	var claims jwt.Claims
	if err := parsed.Claims(s.key.Public(), &claims); err != nil {
		return "", errBadToken
	}
	if err := claims.ValidateWithLeeway(jwt.Expected{Issuer: s.config.Issuer, Time: s.now()}, 0); err != nil {
		return "", errBadToken
	}
	return claims.ID, nil
}

// verifyAccess returns the authorization behind a live access token.
func (s *Server) verifyAccess(token string) (*authorization, error) {
	id, err := s.parse(token)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	live, ok := s.access[id]
	if !ok {
		return nil, errBadToken
	}
	return live, nil
}

// ExpireAccessTokens makes userinfo and Galaxy refuse the person's access
// tokens from now on, whatever they say of themselves. The person is an identity
// URN; "" is everyone.
func (s *Server) ExpireAccessTokens(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, a := range s.access {
		if person == "" || s.directory.identity(a.person) == person {
			delete(s.access, id)
		}
	}
}

// RevokeRefreshTokens ends the person's refresh tokens. The person is an identity
// URN; "" is everyone.
func (s *Server) RevokeRefreshTokens(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.order {
		if person == "" || s.directory.identity(a.person) == person {
			a.dead = true
		}
	}
}

// ForgetConsent makes the person's next sign-in ask for everything again. The
// person is an identity URN; "" is everyone. Tokens already issued find that what they show is gone.
func (s *Server) ForgetConsent(person string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for urn := range s.consents {
		if person == "" || urn == person {
			delete(s.consents, urn)
		}
	}
}

// forget ends all that the person ever gave to the application.
func (s *Server) forget(person, clientID string) {
	if clientID != s.config.ClientID {
		return
	}
	s.ForgetConsent(person)
	s.RevokeRefreshTokens(person)
	s.ExpireAccessTokens(person)
}
