package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// readyLimit is how long the gateway may take to be ready.
const readyLimit = 30 * time.Second

// build builds the gateway as anyone would, and returns the binary's path.
func build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "galaxygate")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "galaxygate").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the gateway: %w\n%s", err, out)
	}
	return binary, nil
}

// gateway is a running one.
type gateway struct {
	*process
	url, admin string
}

// startGateway starts the binary as in production, on SQLite, with the stub as its
// provider and its Galaxy, and returns it when it is ready.
func startGateway(ctx context.Context, binary, dir, stub, log string, settings map[string]string) (*gateway, error) {
	keyset := filepath.Join(dir, "keyset.json")
	keys, err := exec.CommandContext(ctx, binary, "keys", "new").Output()
	if err != nil {
		return nil, fmt.Errorf("make a keyset: %w", err)
	}
	if err := os.WriteFile(keyset, keys, 0o600); err != nil {
		return nil, err
	}
	public, admin, err := freeAddresses(ctx)
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"ADDR": public, "ADMIN_ADDR": admin, "PUBLIC_URL": "http://" + public,
		"DATABASE_URL": "sqlite://" + filepath.Join(dir, "galaxygate.db"), "TOKEN_KEYSET_FILE": keyset,
		"ROLLUP_ISSUER": stub, "ROLLUP_CLIENT_ID": "bench", "ROLLUP_CLIENT_SECRET": "bench",
		"GALAXY_URL": stub + graphqlPath, "GALAXY_API_KEY": "bench",
		"LOG_FORMAT": "json", // /dev/null would pass for a terminal
		"RATE_LIMIT": "0",
	}
	maps.Copy(env, settings)
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), binary)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = dir, output, output, []string{}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	p, err := start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start the gateway: %w", err)
	}
	g := &gateway{process: p, url: "http://" + public, admin: "http://" + admin}
	if err := g.awaitReady(ctx); err != nil {
		g.stop()
		return nil, err
	}
	return g, nil
}

// awaitReady waits until the gateway says that it can serve.
func (g *gateway) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if _, err := fetch(ctx, g.admin+"/readyz"); err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-g.done:
			return fmt.Errorf("the gateway has ended (-log FILE shows why): %w", errors.Join(g.err, ctx.Err()))
		case <-ctx.Done():
			return fmt.Errorf("the gateway is not ready (-log FILE shows why): %w", ctx.Err())
		}
	}
}

// signIn signs in as a browser does, and returns the header that carries the
// session.
func (g *gateway) signIn(ctx context.Context) (http.Header, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{Jar: jar, Timeout: readyLimit}
	defer browser.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url+"/auth/login", nil)
	if err != nil {
		return nil, err
	}
	resp, err := browser.Do(req)
	if err != nil {
		return nil, fmt.Errorf("sign in: %w", err)
	}
	_ = resp.Body.Close()
	for _, cookie := range jar.Cookies(must(url.Parse(g.url))) {
		if cookie.Name == "galaxygate" {
			return http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}}, nil
		}
	}
	return nil, fmt.Errorf("sign in: no session, but %s from %s", resp.Status, resp.Request.URL.Path)
}

// must returns the URL, which this command made itself.
func must(u *url.URL, err error) *url.URL {
	if err != nil {
		panic(err)
	}
	return u
}

// fetch gets a document of 200.
func fetch(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", address, resp.Status)
	}
	return body, err
}

// freeAddresses returns two loopback addresses that nothing listens on. Their
// ports are below those that systems give to outgoing connections, any of which
// could take it before the gateway does, and above those of internal/e2e.
func freeAddresses(ctx context.Context) (one, other string, err error) {
	var found []string
	var config net.ListenConfig
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(26_000+rand.IntN(6_000)))
		listener, err := config.Listen(ctx, "tcp", address)
		if err != nil {
			continue
		}
		defer listener.Close() // so that it is not found twice
		if found = append(found, address); len(found) == 2 {
			return found[0], found[1], nil
		}
	}
	return "", "", errors.New("no free port in 100 tries")
}
