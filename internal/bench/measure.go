package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// bench is how everything is measured.
type bench struct {
	self, binary string // this command and the gateway
	dir          string // temporary
	log          string // the gateway's
	rounds       int
	long         time.Duration // of a round
	profiles     string        // where profiles go; empty: none are taken
	profileLong  time.Duration
	out          io.Writer
}

// result is what came of a scenario.
type result struct {
	scenario       scenario
	bytes          int // of the gateway's answer
	proxy, gateway []round
}

// round is one round before one target.
type round struct {
	cpu          time.Duration // for a request
	throughput   float64       // requests a second
	galaxy, info float64       // requests upstream for one request
	memory       memory        // at its end
}

// measure measures a scenario with processes of its own.
func (b *bench) measure(ctx context.Context, s scenario) (r result, err error) {
	w, err := b.open(ctx, s)
	if err != nil {
		return r, err
	}
	defer w.close()
	r = result{scenario: s, bytes: int(w.viaGateway.size)}
	for i := range b.rounds {
		proxy, err := w.round(ctx, w.proxy, w.viaProxy, b.long)
		if err != nil {
			return r, fmt.Errorf("the proxy: %w", err)
		}
		gateway, err := w.round(ctx, w.gateway.process, w.viaGateway, b.long)
		if err != nil {
			return r, fmt.Errorf("the gateway: %w", err)
		}
		r.proxy, r.gateway = append(r.proxy, proxy), append(r.gateway, gateway)
		if _, err := fmt.Fprintf(b.out, "%s %d/%d: %s\n", s.name, i+1, b.rounds, compare(proxy, gateway)); err != nil {
			return r, err
		}
	}
	if b.profiles != "" {
		err = w.profile(ctx, b.profiles, s.name, b.profileLong)
	}
	return r, err
}

// world is the processes of a scenario.
type world struct {
	stub, proxy          *process
	gateway              *gateway
	stubURL              string
	viaProxy, viaGateway *target
}

// open starts the processes, signs in, and makes sure that the answers are right.
func (b *bench) open(ctx context.Context, s scenario) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	dir := filepath.Join(b.dir, s.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if w.stub, w.stubURL, err = role(ctx, b.self, stubRole, fmt.Sprint(s.perField())); err != nil {
		return nil, err
	}
	var proxyURL string
	if w.proxy, proxyURL, err = role(ctx, b.self, proxyRole, w.stubURL); err != nil {
		return nil, err
	}
	if w.gateway, err = startGateway(ctx, b.binary, dir, w.stubURL, b.log, s.settings()); err != nil {
		return nil, err
	}
	users := make([]http.Header, connections) // each of another user's, so that none waits for another's answer
	for i := range users {
		if users[i], err = w.gateway.signIn(ctx); err != nil {
			return nil, err
		}
	}
	if w.viaProxy, err = sized(ctx, s, proxyURL+graphqlPath, s.document, []http.Header{{}}); err != nil {
		return nil, fmt.Errorf("the proxy: %w", err)
	}
	if w.viaGateway, err = sized(ctx, s, w.gateway.url+"/graphql", s.operation, users); err != nil {
		return nil, fmt.Errorf("the gateway: %w", err)
	}
	return w, nil
}

func (w *world) close() {
	if w.gateway != nil {
		w.gateway.stop()
	}
	for _, p := range []*process{w.proxy, w.stub} {
		if p != nil {
			p.stop()
		}
	}
}

// sized is newTarget for an answer of about the scenario's size.
func sized(ctx context.Context, s scenario, address, query string, users []http.Header) (*target, error) {
	t, _, err := newTarget(ctx, address, query, users)
	if err == nil && (int(t.size) < s.bytes*2/3 || int(t.size) > s.bytes*3/2) {
		err = fmt.Errorf("an answer of %d bytes, where there should be about %d", t.size, s.bytes)
	}
	return t, err
}

// round warms the process up and measures it.
func (w *world) round(ctx context.Context, p *process, t *target, long time.Duration) (r round, err error) {
	l, err := connect(ctx, t)
	if err != nil {
		return r, err
	}
	defer l.close()
	if _, _, err := l.run(long / 5); err != nil {
		return r, err
	}
	before, err := w.spent(ctx, p)
	if err != nil {
		return r, err
	}
	requests, took, err := l.run(long)
	if err != nil {
		return r, err
	}
	after, err := w.spent(ctx, p)
	if err != nil {
		return r, err
	}
	n := float64(requests)
	r = round{
		cpu:        time.Duration(float64(after.cpu-before.cpu) / n),
		throughput: n / took.Seconds(),
		galaxy:     float64(after.Galaxy-before.Galaxy) / n,
		info:       float64(after.UserInfo-before.UserInfo) / n,
	}
	r.memory, err = p.memory()
	return r, err
}

// spending is what has been spent until now.
type spending struct {
	cpu time.Duration
	counts
}

func (w *world) spent(ctx context.Context, p *process) (s spending, err error) {
	text, err := fetch(ctx, w.stubURL+countsPath)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(text, &s.counts); err != nil {
		return s, err
	}
	s.cpu, err = p.cpu()
	return s, err
}
