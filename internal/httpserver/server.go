package httpserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// The limits of a connection. An answer may take as long as the slowest
// upstream twice over; a handler that streams lifts its own deadline.
const (
	readHeaderLimit = 10 * time.Second
	readLimit       = 30 * time.Second
	writeLimit      = 90 * time.Second
	idleLimit       = 2 * time.Minute
	maxHeaderBytes  = 64 << 10
)

// The limits of a connection by HTTP/2. A proxy sends many users' requests over
// one, so there may be many at a time; none has a body that is worth a larger
// window. A connection that is dead without having said so is closed.
const (
	maxStreams      = 250
	streamWindow    = 256 << 10
	pingAfter       = 30 * time.Second
	pingAnswerLimit = 15 * time.Second
)

// Listen opens a TCP listener, whose Addr says which port was taken for port 0.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// Server serves the two sides of the gateway until it is told to stop. All
// fields are required.
type Server struct {
	PublicListener net.Listener
	Public         http.Handler
	AdminListener  net.Listener
	Admin          http.Handler
	Health         *Health
	// EndStreams ends what stays open for as long as its client wants, and returns
	// when that is done or its context has ended. net/http waits for no WebSocket,
	// and for an event stream in vain.
	EndStreams func(context.Context) error
	// Grace is how long requests in flight may go on once the server stops.
	Grace  time.Duration
	Logger *slog.Logger
}

// Run serves until ctx ends or a listener fails. It closes both listeners.
//
// When ctx ends, the process stops being ready and no connection is accepted
// any more; streams are told to end, requests in flight go on, and all are cut off
// after Grace. The private
// listener is closed last, so that readiness and metrics are seen to the end.
// The error is the failed listener's, or nil.
func (s *Server) Run(ctx context.Context) error {
	public := s.server(ctx, s.Public)
	public.ReadTimeout, public.WriteTimeout = readLimit, writeLimit
	speakHTTP2(public)
	admin := s.server(ctx, s.Admin) // without limits: a profile takes its time

	failed := make(chan error, 2)
	go func() { failed <- public.Serve(s.PublicListener) }()
	go func() { failed <- admin.Serve(s.AdminListener) }()

	var err error
	ended := 0
	select {
	case <-ctx.Done():
		s.Logger.InfoContext(ctx, "stopping", "grace", s.Grace)
	case err = <-failed:
		ended = 1
	}
	s.Health.Drain()
	s.stop(ctx, public)
	_ = admin.Close() // whatever still reads metrics now is cut off
	for ; ended < 2; ended++ {
		if e := <-failed; err == nil && !errors.Is(e, http.ErrServerClosed) {
			err = e
		}
	}
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func (s *Server) server(ctx context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderLimit,
		IdleTimeout:       idleLimit,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.Logger.Handler(), slog.LevelWarn),
		// Requests outlive ctx: its end is where the grace begins.
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
}

// speakHTTP2 lets a proxy, which ends TLS, come by HTTP/2 with prior knowledge (RFC
// 9113, section 3.3) beside HTTP/1.1.
func speakHTTP2(server *http.Server) {
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	server.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams:      maxStreams,
		MaxReceiveBufferPerStream: streamWindow,
		SendPingTimeout:           pingAfter,
		PingTimeout:               pingAnswerLimit,
	}
}

// stop lets the requests in flight finish within the grace, then cuts them off.
func (s *Server) stop(ctx context.Context, server *http.Server) {
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Grace)
	defer cancel()
	var streams sync.WaitGroup
	streams.Go(func() {
		if s.EndStreams(grace) != nil {
			s.Logger.WarnContext(ctx, "streams cut off", "grace", s.Grace)
		}
	})
	defer streams.Wait()
	if err := server.Shutdown(grace); err != nil {
		s.Logger.WarnContext(ctx, "requests cut off", "grace", s.Grace)
		_ = server.Close()
	}
}
