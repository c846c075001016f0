package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// The paths of the stub.
const (
	graphqlPath = "/graphql"
	countsPath  = "/counts"
)

// counts is how often the stub was asked.
type counts struct{ Galaxy, UserInfo int64 }

// stub is a Galaxy that answers every document, in its own words or anyone's, and
// an OpenID Provider that signs everybody in. It spends as little as it can.
type stub struct {
	perField int
	provider *provider

	answers  sync.Map // of []byte, by the body of the request
	galaxy   atomic.Int64
	userInfo atomic.Int64
}

// serveStub serves the stub until ctx ends.
func serveStub(ctx context.Context, args []string, stdout io.Writer) error {
	perField, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("bytes of a field: %w", err)
	}
	return serve(ctx, stdout, func(url string) (http.Handler, error) {
		p, err := newProvider(url)
		if err != nil {
			return nil, err
		}
		s := &stub{perField: perField, provider: p}
		mux := http.NewServeMux()
		p.routes(mux)
		mux.HandleFunc("POST "+graphqlPath, s.serveGalaxy)
		mux.HandleFunc("GET "+userInfoPath, s.serveUserInfo)
		mux.HandleFunc("GET "+countsPath, s.serveCounts)
		return mux, nil
	})
}

// serveGalaxy answers a body that it knows with the bytes that it has.
func (s *stub) serveGalaxy(w http.ResponseWriter, r *http.Request) {
	s.galaxy.Add(1)
	if r.Header.Get("Authorization") == "" || r.Header.Get("X-Galaxy-Key") == "" {
		http.Error(w, "Who asks?", http.StatusUnauthorized)
		return
	}
	body := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	known, ok := s.answers.Load(string(body))
	if !ok {
		prepared, err := s.prepare(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		known, _ = s.answers.LoadOrStore(string(body), prepared)
	}
	write(w, known.([]byte)) // nothing else is stored
}

func (s *stub) prepare(body []byte) ([]byte, error) {
	var request struct {
		Query string `json:"query"`
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return nil, err
	}
	return answer(request.Query, s.perField)
}

func (s *stub) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	s.userInfo.Add(1)
	info, ok := s.provider.userInfo.Load(r.Header.Get("Authorization"))
	if !ok {
		http.Error(w, "Who asks?", http.StatusUnauthorized)
		return
	}
	text, _ := info.([]byte)
	write(w, text)
}

func (s *stub) serveCounts(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, counts{s.galaxy.Load(), s.userInfo.Load()})
}

func writeJSON(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	write(w, text)
}

// write writes a JSON text. Who does not wait for it is not told.
func write(w http.ResponseWriter, text []byte) {
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(text))}
	_, _ = w.Write(text)
}
