// Command galaxygate-native signs its user in at a galaxygate gateway, as a native
// app does (RFC 8252), and asks it. It is an example to copy from:
//
//	main.go      the commands
//	signin.go    sign-in through the system browser, and sign-out
//	gateway.go   GraphQL requests, and what to do about each error
//	keep.go      where the session is kept
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"
)

const (
	program  = "galaxygate-native"
	clientID = "native" // one of the gateway's NATIVE_CLIENT_IDS
)

const usage = program + ` signs you in at a galaxygate gateway, and asks it.

  sign-in          sign in, through your browser
  whoami           who you are, and which session this is
  query DOCUMENT   send a GraphQL query
  consent SCOPE…   sign in anew and consent to these; whoami and query say to which
  sign-out         end the session

Flags:
`

// app is one run of the program.
type app struct {
	gateway   string // the gateway's PUBLIC_URL
	noBrowser bool
	timeout   time.Duration
	client    *http.Client
	keep      keep
	out       io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends it at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command, and returns the exit status.
func run(ctx context.Context, args []string, out, problems io.Writer) int {
	a := &app{out: out, client: &http.Client{
		Timeout: 30 * time.Second,
		// Nothing that is sent here, a code or a token, is to go elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	flags := a.flags(problems)
	err := flags.Parse(args)
	command := flags.Arg(0)
	if err == nil && command != "" {
		err = flags.Parse(flags.Args()[1:]) // flags may also come after the command
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	a.gateway = strings.TrimSuffix(a.gateway, "/")
	a.keep = keep{account: a.gateway}

	if err = checkGateway(a.gateway); err == nil {
		err = a.do(ctx, command, flags.Args())
	}
	switch {
	case errors.Is(err, errUsage):
		flags.Usage()
		return 2
	case err != nil:
		fmt.Fprintf(problems, "%s: %v\n", program, err)
		return 1
	}
	return 0
}

// checkGateway wants an address on the way to which nobody reads a code or a session.
func checkGateway(address string) error {
	u, err := url.Parse(address)
	if err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && isThisMachine(u.Hostname())) {
		return nil
	}
	return fmt.Errorf("%q is no gateway's address: https://…, or http:// on this machine", address)
}

func isThisMachine(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func (a *app) flags(problems io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	gateway := cmp.Or(os.Getenv("GALAXYGATE_URL"), "http://localhost:8080")
	flags.StringVar(&a.gateway, "gateway", gateway, "the gateway's `URL`; also GALAXYGATE_URL")
	flags.BoolVar(&a.noBrowser, "no-browser", false, "print the address to sign in at, and open nothing")
	flags.DurationVar(&a.timeout, "timeout", 5*time.Minute, "how long to wait for the browser")
	return flags
}

var errUsage = errors.New("no such command")

func (a *app) do(ctx context.Context, command string, args []string) error {
	switch {
	case command == "sign-in" && len(args) == 0:
		return a.signIn(ctx, nil)
	case command == "whoami" && len(args) == 0:
		return a.whoami(ctx)
	case command == "query" && len(args) == 1:
		return a.query(ctx, args[0])
	case command == "consent" && len(args) > 0:
		return a.signIn(ctx, args)
	case command == "sign-out" && len(args) == 0:
		return a.signOut(ctx)
	default:
		return errUsage
	}
}
